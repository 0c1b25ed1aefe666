"""Our weight file: there and back, and every way it can be broken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskrcnn.config import to_dict
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights import safetensors_file
from maskrcnn.weights.checkpoint import FORMAT, read_checkpoint, save_checkpoint
from maskrcnn.weights.load import load_model

Tiny = Callable[..., MaskRCNN]


def test_there_and_back(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny("cat", "grüne Ähre", preprocess={"long": 640})
    save_checkpoint(model, tmp_path / "m.safetensors", {"epochs": 3, "best": {"mask_AP": 0.5}})
    found = read_checkpoint(tmp_path / "m.safetensors")
    assert found.names == ("cat", "grüne Ähre")
    assert found.config == model.config
    assert found.provenance == {"epochs": 3, "best": {"mask_AP": 0.5}}
    state = model.state_dict()
    assert found.state.keys() == state.keys()
    assert all(torch.equal(found.state[key], value) for key, value in state.items())


def test_a_loaded_model_predicts_the_same(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny("cat", "dog", score_threshold=0.0).to(memory_format=torch.channels_last)
    save_checkpoint(model, tmp_path / "m.safetensors")
    loaded, report = load_model(tmp_path / "m.safetensors")
    assert not loaded.training
    assert loaded.names == ("cat", "dog")
    assert (report.reinitialised, report.unused, report.classes_new) == ([], [], [])
    images = torch.randint(0, 256, (1, 3, 64, 96), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        for one, other in zip(*(m.detect(images, torch.tensor([[60, 90]])) for m in (model, loaded)), strict=True):
            torch.testing.assert_close(one, other)


def test_half_precision_takes_half_the_room(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny("cat")
    save_checkpoint(model, tmp_path / "full.safetensors")
    save_checkpoint(model, tmp_path / "half.safetensors", dtype=torch.float16)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    numbers = sum(value.numel() for value in model.state_dict().values() if value.is_floating_point())
    assert sizes[0] - sizes[1] == pytest.approx(2 * numbers, rel=0.01)
    loaded, _ = load_model(tmp_path / "half.safetensors")
    for name, value in model.state_dict().items():
        assert loaded.state_dict()[name].dtype == value.dtype
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_a_failed_write_leaves_the_old_file(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tiny("cat"), tmp_path / "m.safetensors")
    before = (tmp_path / "m.safetensors").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]

    def full_disk(state: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(safetensors_file, "save_file", full_disk)
    with pytest.raises(MaskRCNNError, match=r"m\.safetensors: cannot write: no space"):
        save_checkpoint(tiny("cat"), tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_what_does_not_fit_is_an_error_with_a_fix(
    tiny: Tiny, tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    save_checkpoint(tiny("cat"), tmp_path / "m.safetensors")
    before = (tmp_path / "m.safetensors").read_bytes()
    file_size_limit(len(before) // 2)
    with pytest.raises(MaskRCNNError, match=r"m\.safetensors: cannot write: File too large.*ulimit -f"):
        save_checkpoint(tiny("cat", "dog"), tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_it_has_the_rights_that_the_umask_gives(tiny: Tiny, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save_checkpoint(tiny("cat"), tmp_path / "deep" / "m.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "deep" / "m.safetensors").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_a_cut_file_is_one_clear_error(tiny: Tiny, tmp_path: Path, length: int) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(tiny("cat"), path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(MaskRCNNError, match=r"m\.safetensors: not a readable checkpoint"):
        load_model(path)


def test_text_under_our_name_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(MaskRCNNError, match="not a readable checkpoint"):
        load_model(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "maskrcnn-99", "expected a checkpoint of format maskrcnn-1"),
        ("format", None, "expected a checkpoint of format maskrcnn-1"),
        ("names", None, "names"),
        ("names", "{", "not a readable checkpoint"),
        ("config", None, "config"),
        ("config", json.dumps({"fpn_chanels": 8}), "did you mean 'fpn_channels'"),
        ("config", json.dumps({"fpn_channels": "8"}), "fpn_channels: expected int"),
        ("provenance", "", "not a readable checkpoint"),
        ("names", "5", "checkpoint"),
        ("names", "null", "checkpoint"),
        ("config", "[]", "checkpoint"),
        ("config", "null", "checkpoint"),
    ],
)
def test_wrong_metadata_is_one_clear_error(
    tiny: Tiny, tmp_path: Path, field: str, value: str | None, message: str
) -> None:
    model, path = tiny("cat"), tmp_path / "m.safetensors"
    save_checkpoint(model, path)
    good = {"format": FORMAT, "names": '["cat"]', "config": json.dumps(to_dict(model.config)), "provenance": "{}"}
    metadata = {key: text for key, text in {**good, field: value}.items() if text is not None}
    save_file(load_file(path), path, metadata)
    with pytest.raises(MaskRCNNError, match=message):
        load_model(path)


@pytest.mark.parametrize("change", ["missing", "other shape"])
def test_parameters_that_do_not_fill_the_model(tiny: Tiny, tmp_path: Path, change: str) -> None:
    model, path = tiny("cat"), tmp_path / "m.safetensors"
    save_checkpoint(model, path)
    state = load_file(path)
    if change == "missing":
        del state["box_head.logits.bias"]
    else:
        state["box_head.logits.bias"] = torch.zeros(7)
    config = json.dumps(to_dict(model.config))
    save_file(state, path, {"format": FORMAT, "names": '["cat"]', "config": config, "provenance": "{}"})
    with pytest.raises(MaskRCNNError, match=r"does not fill the architecture.*box_head\.logits\.bias"):
        load_model(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("names", "[" * 100_000),
        ("names", "[" + "1" * 5000 + "]"),
        ("names", json.dumps(["cat", "cat"])),
        ("names", json.dumps([""])),
        ("names", json.dumps([{"a": 1}])),
        ("names", json.dumps([])),
        ("names", json.dumps("cat")),
        ("names", json.dumps(["x" * 10_000])),
        ("names", json.dumps([str(number) for number in range(200_000)])),
        ("config", '{"a":' * 50_000),
        ("config", json.dumps({"fpn_channels": 10**9})),
        ("config", json.dumps({"box_hidden": [60_000, 60_000]})),
        ("config", '{"rpn_nms": NaN}'),
        ("config", '{"max_detections": ' + "9" * 5000 + "}"),
        ("provenance", "[]"),
        ("provenance", "[" * 100_000),
    ],
)
def test_metadata_that_no_checkpoint_has(tiny: Tiny, tmp_path: Path, field: str, value: str) -> None:
    model, path = tiny("cat"), tmp_path / "m.safetensors"
    good = {"format": FORMAT, "names": '["cat"]', "config": json.dumps(to_dict(model.config)), "provenance": "{}"}
    save_file(model.state_dict(), path, {**good, field: value})
    with pytest.raises(MaskRCNNError, match=r"m\.safetensors: not a readable checkpoint") as caught:
        load_model(path)
    assert len(str(caught.value)) < 600


def test_settings_of_a_large_network_beside_a_few_numbers_make_none(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = tiny("cat"), tmp_path / "m.safetensors"
    config = {**to_dict(model.config), "box_hidden": [16_000, 16_000]}
    save_file(
        model.state_dict(),
        path,
        {"format": FORMAT, "names": '["cat"]', "config": json.dumps(config), "provenance": "{}"},
    )
    monkeypatch.setattr("maskrcnn.weights.load.MaskRCNN", None)
    with pytest.raises(MaskRCNNError, match="does not fill the architecture it names"):
        load_model(path)
