"""Which form of an operator runs, what a failing kernel leads to, and the kernels' tests in Triton's interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from maskrcnn.ops import kernel_choice

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
ONE = torch.ones(1)


def plain(x: Tensor) -> Tensor:
    return x + 1


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels count as usable on any device, and no failure is known."""
    monkeypatch.delenv("MASKRCNN_KERNELS", raising=False)
    monkeypatch.setattr(kernel_choice, "_failures", {})
    monkeypatch.setattr(kernel_choice, "why_plain", lambda name, device: kernel_choice._failures.get(name, ""))
    # Without a driver torch cannot tell.
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)


def install(monkeypatch: pytest.MonkeyPatch, kernel: object) -> None:
    monkeypatch.setitem(
        kernel_choice._KERNELS, "nms", kernel_choice._KERNELS["nms"]._replace(module="stand-in", function="run")
    )
    monkeypatch.setitem(sys.modules, "stand-in", SimpleNamespace(run=kernel))


@pytest.mark.usefixtures("everywhere")
def test_the_kernel_runs_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda x: x + 2)
    assert kernel_choice.call("nms", plain, ONE) == 3


@pytest.mark.usefixtures("everywhere")
def test_a_failure_is_remembered_and_the_plain_form_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def failing(x: Tensor) -> Tensor:
        tries.append(x)
        raise RuntimeError("Failed to find C compiler. Please specify via CC.\nmore")

    install(monkeypatch, failing)
    assert [kernel_choice.call("nms", plain, ONE).item() for _ in range(3)] == [2, 2, 2]
    assert len(tries) == 1
    assert kernel_choice.why_plain("nms", ONE.device) == (
        "it failed with RuntimeError: Failed to find C compiler. Please specify via CC."
    )
    assert not kernel_choice.why_plain("roi align", ONE.device)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("Triton Error [CUDA]: out of memory")]
)
def test_out_of_memory_is_the_callers(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(x: Tensor) -> Tensor:
        raise error

    install(monkeypatch, failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        kernel_choice.call("nms", plain, ONE)
    assert not kernel_choice.why_plain("nms", ONE.device)


@pytest.mark.usefixtures("everywhere")
def test_a_failure_in_a_capture_ends_the_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(x: Tensor) -> Tensor:
        raise RuntimeError("operation not permitted when stream is capturing")

    install(monkeypatch, failing)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match="capturing"):
        kernel_choice.call("nms", plain, ONE)
    assert not kernel_choice.why_plain("nms", ONE.device)


@pytest.mark.usefixtures("everywhere")
def test_a_compiled_graph_holds_the_plain_form(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda x: x + 2)
    compiled = torch.compile(lambda x: kernel_choice.call("nms", plain, x), backend="eager", fullgraph=True)
    assert compiled(ONE) == 2


def test_reasons_for_the_plain_form(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    monkeypatch.setattr(kernel_choice, "_failures", {})
    monkeypatch.delenv("MASKRCNN_KERNELS", raising=False)
    assert "CUDA" in kernel_choice.why_plain("nms", torch.device("cpu"))
    monkeypatch.setattr(torch.version, "cuda", None)
    assert kernel_choice._missing_requirement.__wrapped__(cuda) == "torch was built without CUDA"
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GTX 1080")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert "GTX 1080" in kernel_choice._missing_requirement.__wrapped__(cuda)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    assert kernel_choice._missing_requirement.__wrapped__(cuda) == ""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert kernel_choice._missing_requirement.__wrapped__(cuda) == "Triton is not installed"
    monkeypatch.setenv("MASKRCNN_KERNELS", "plain")
    assert kernel_choice.why_plain("nms", cuda) == "MASKRCNN_KERNELS=plain"


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
def test_status_without_a_device() -> None:
    assert kernel_choice.status() == {
        "nms": "torchvision's on the CPU, the plain form (no device here) on CUDA",
        "roi align": "the plain form on the CPU, the plain form (no device here) on CUDA",
    }


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_status_with_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASKRCNN_KERNELS", raising=False)
    assert all(text.endswith("Triton on CUDA") for text in kernel_choice.status().values()), kernel_choice.status()
    monkeypatch.setenv("MASKRCNN_KERNELS", "plain")
    assert all("MASKRCNN_KERNELS=plain" in text for text in kernel_choice.status().values())


@pytest.mark.skipif(not INTERPRETED and not torch.cuda.is_available(), reason="no CUDA device nor Triton's interpreter")
@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", kernel_choice._KERNELS)
def test_the_calls_that_status_tries(name: str) -> None:
    device = torch.device("cpu" if INTERPRETED else "cuda")
    out = kernel_choice.call(name, lambda *_: torch.zeros(0), *kernel_choice._KERNELS[name].sample_arguments(device))
    assert out.numel() == 1
    assert not kernel_choice._failures


def python(*arguments: str, **environment: str) -> None:
    # A worker of pytest-xdist hands its children settings that are not theirs.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run([sys.executable, *arguments], env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_needs_triton_on_a_cpu() -> None:
    python(
        "-c",
        """
import sys
sys.modules["triton"] = None
import torch
import maskrcnn.model.mask_rcnn
from maskrcnn.ops import nms
from maskrcnn.ops import kernel_choice
assert nms.nms(torch.zeros(1, 3, 4), torch.ones(1, 3, dtype=torch.bool), 0.5).all()
kernel_choice.status()
""",
    )


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels' tests run on the CUDA device")
def test_the_kernels_in_tritons_interpreter() -> None:
    """In a process of its own: Triton decides when it is first imported."""
    here = Path(__file__).parent
    files = [str(here / name) for name in ("test_nms_triton.py", "test_roi_align_triton.py")]
    calls = f"{__file__}::test_the_calls_that_status_tries"
    python("-m", "pytest", "-p", "no:cacheprovider", *files, calls, TRITON_INTERPRET="1")
