"""Devices and precisions by name, and what "auto" stands for in prediction and in training."""

from __future__ import annotations

import pytest
import torch

from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference import device
from maskrcnn.inference.device import bf16_instructions, bf16_speed, pick_device, pick_precision

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.mark.parametrize(
    "name",
    ["meta", "xla", "vulkan", "hpu", "xpu", "cpu:1", "cpu:-1", "cuda:x", "CPU", "gpu", "", "cuda:0 ", None, 0, ["cpu"]],
)
def test_what_is_no_device(name: object) -> None:
    with pytest.raises(MaskRCNNError, match=r"unknown device .*use auto, cpu, cuda"):
        pick_device(name)  # type: ignore[arg-type]


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MaskRCNNError, match="cuda:999' is not there"):
        pick_device("cuda:999")
    assert pick_device("cpu") == pick_device(CPU) == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MaskRCNNError, match="not there"):
        pick_device("cuda")


@pytest.mark.parametrize("name", ["fp8", "int4", "", None, 16, ["fp32"], torch.float32])
def test_what_is_no_precision(name: object) -> None:
    with pytest.raises(MaskRCNNError, match="unknown precision"):
        pick_precision(name, CPU)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "there", "prediction", "training"),
    [
        (CPU, True, "fp32", "bf16"),
        (CPU, False, "fp32", "fp32"),
        (CUDA, True, "bf16", "bf16"),
        (CUDA, False, "fp32", "fp32"),
        (MPS, True, "fp32", "fp32"),
    ],
)
def test_auto(
    where: torch.device, there: bool, prediction: str, training: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated arithmetic does not count: it is slower than fp32."""
    monkeypatch.setattr(device, "bf16_instructions", lambda: "AMX" if there else "")
    monkeypatch.setattr(device, "bf16_speed", lambda: 2.0)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: there or including_emulation)
    assert pick_precision("auto", where) == prediction
    assert pick_precision("auto", where, training=True) == training
    for name in ("fp32", "bf16", "fp16"):
        assert pick_precision(name, where) == pick_precision(name, where, training=True) == name


@pytest.mark.parametrize(("speed", "training"), [(0.6, "fp32"), (1.19, "fp32"), (1.2, "bf16"), (3.0, "bf16")])
def test_instructions_alone_do_not_make_training_on_a_cpu_bf16(
    speed: float, training: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "bf16_instructions", lambda: "AVX512-BF16")
    monkeypatch.setattr(device, "bf16_speed", lambda: speed)
    assert pick_precision("auto", CPU, training=True) == training
    assert pick_precision("auto", CPU) == "fp32"
    assert pick_precision("bf16", CPU, training=True) == "bf16"


def test_the_speed_of_bf16_is_measured_once_and_draws_nothing() -> None:
    before = torch.get_rng_state()
    first = bf16_speed()
    assert 0.001 < first < 1000
    assert bf16_speed() == first
    assert torch.equal(torch.get_rng_state(), before)


def test_without_instructions_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bf16_instructions", lambda: "")
    monkeypatch.setattr(device, "bf16_speed", lambda: pytest.fail("measured"))
    assert pick_precision("auto", CPU, training=True) == "fp32"


def test_instructions_are_not_asked_of_a_torch_that_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert bf16_instructions() == ""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert bf16_instructions() == "AMX"
