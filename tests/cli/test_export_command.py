"""`maskrcnn export` from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import maskrcnn
from maskrcnn.config import preset
from maskrcnn.exporting.parity import Differences
from maskrcnn.exporting.parity_run import SceneResult, Trial
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.verbs import export as verb
from maskrcnn.weights.checkpoint import save_checkpoint
from tests.command import run


def trial(*problems: str) -> Trial:
    seen = Differences(np.array([0.01, 0.02]), np.array([1e-5, 2e-5]), np.array([1e-4, 3e-4]), lost=1, added=2)
    row = SceneResult("photo", (480, 640), 3, 4, seen, (0.5, 0.125))
    wide = SceneResult("small photo", (1067, 1067), 1000, 1000, seen, (99.9, 99.9))
    return Trial([row, wide], list(problems), ["few objects"], 12.5, {"mask_AP": (50.0, 49.5)})


def test_what_passes_is_a_table_and_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "write_and_compare", lambda request: trial())
    code, text = run("export", "nuclei", "--format", "openvino", "--out", "m.xml")
    assert code == 0, text
    cells = text.split()
    assert all(cell in cells for cell in ("480x640", "0.02", "2e-5", "3e-4", "125", "500"))
    assert "…" not in text
    assert "mask AP 50.0 → 49.5 (-0.5)" in text
    assert "few objects" in text
    assert "m.xml, m.bin" in text


def test_notes_are_shown_once_those_on_the_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verb, "write_and_compare", lambda request: trial())
    monkeypatch.setattr("maskrcnn.output.output_lock._lock", lambda descriptor: False)
    code, text = run("export", "nuclei", "--out", tmp_path / "m.onnx")
    assert code == 0, text
    assert text.count("note few objects") == 1
    assert "".join(text.split()).count("thisfilesystemhasnolocks") == 1


def test_who_uses_a_program_is_told_of_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "write_and_compare", lambda request: trial())
    code, text = run("export", "nuclei", "--format", "torch", "--out", "my m.pt2")
    assert code == 0, text
    assert "maskrcnn predict SOURCE --model 'my m.pt2' --trust" in text
    assert "--trust" not in run("export", "nuclei", "--out", "m.onnx")[1]


def test_what_differs_fails_and_is_kept_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "write_and_compare", lambda request: trial("box: 99% of objects differ by up to 3"))
    code, text = run("export", "nuclei", "--out", "m.onnx")
    assert code == 2
    assert "differs box: 99% of objects" in text
    assert "--force" in text
    code, text = run("export", "nuclei", "--out", "m.onnx", "--force")
    assert code == 0
    assert "m.onnx" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nuclei", "--out", "m.onnx", "--precision", "bf16"], "onnx has no bf16"),
        (["nuclei", "--out", ""], "write to model.onnx"),
        (["model.onnx", "--out", "m.onnx"], "exported already"),
        (["nuclei", "--out", "m.onnx", "--data", "nowhere"], "no such data"),
        (["nuclei", "--out", "m.pt2", "--format", "aoti", "--data", "."], "AP is not measured"),
    ],
)
def test_refused_before_anything_is_done(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "write_and_compare", lambda request: pytest.fail("ran"))
    monkeypatch.setattr("maskrcnn.exporting.export_formats.shutil.which", lambda name: name)
    code, text = run("export", *arguments)
    assert code == 2, text
    assert says in text


def test_a_checkpoint_goes_out_and_is_measured(shapes: Path, tmp_path: Path) -> None:
    """The whole way: a checkpoint of ours, its ONNX file, AP of both on labelled data."""
    torch.manual_seed(0)
    settings = {"backbone": "timm:test_efficientnet", "fpn_channels": 8, "box_hidden": (16,), "mask_convs": (8,)}
    config = preset("lite").replace(**settings, preprocess={"short": (128, 128), "long": 192})
    save_checkpoint(MaskRCNN(config, ["disc", "triangle"]).eval(), tmp_path / "tiny.safetensors")
    out = tmp_path / "out" / "tiny.onnx"
    code, text = run("export", tmp_path / "tiny.safetensors", "--out", out, "--data", shapes, "--max-detections", 30)
    assert code == 0, text
    assert "crowd" in text
    assert "mask AP" in text
    assert [path.name for path in out.parent.iterdir()] == ["tiny.onnx"]
    assert maskrcnn.load(out).model.config.max_detections == 30
