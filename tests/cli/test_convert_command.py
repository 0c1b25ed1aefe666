"""`maskrcnn convert`: a file of ours comes out, and all that was matched, left out or assumed is said."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection import MaskRCNN as Peer
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

import maskrcnn
from maskrcnn.weights.checkpoint import read_checkpoint
from tests.command import run


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of torchvision's class with two classes, as a user saves it."""
    path = tmp_path_factory.mktemp("theirs") / "mine.pth"
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=3)
    torch.save({**Peer(backbone, 3).state_dict(), "ema.step": torch.zeros(1)}, path)
    return path


def test_a_file_of_ours_and_a_table(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text("score_threshold: 0.3\npreprocess: {short: [320, 320]}\n")
    target = tmp_path / "deep" / "mine.safetensors"
    code, said = run("convert", theirs, target, "--names", "cat, dog", "--config", tmp_path / "ours.yaml")
    assert code == 0, said
    for part in ("backbone", "fpn", "rpn", "box head", "mask head"):
        assert part in said
    assert "not used ema.step: the model has no such parameter" in said
    assert "states neither input size" in said
    checkpoint = read_checkpoint(target)
    assert checkpoint.names == ("cat", "dog")
    assert (checkpoint.config.score_threshold, checkpoint.config.preprocess.short) == (0.3, (320, 320))
    assert (checkpoint.provenance["source"], checkpoint.provenance["library"]) == ("mine.pth", "torchvision")
    image = np.zeros((33, 47, 3), np.uint8)
    assert len(maskrcnn.load(target, device="cpu").predict(image, score=0.99)) == 0


def test_names_that_do_not_fit(theirs: Path, tmp_path: Path) -> None:
    code, said = run("convert", theirs, tmp_path / "mine.safetensors", "--names", "cat")
    assert code == 2
    assert "expected 2 class names, found 1" in said
    assert not (tmp_path / "mine.safetensors").exists()


def test_settings_that_are_unknown(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text("score_treshold: 0.3\n")
    code, said = run("convert", theirs, tmp_path / "mine.safetensors", "--config", tmp_path / "ours.yaml")
    assert code == 2
    assert "did you mean 'score_threshold'?" in said
    assert f"{tmp_path / 'ours.yaml'}: unknown model setting" in said


def test_names_given_as_an_empty_text(theirs: Path, tmp_path: Path) -> None:
    code, said = run("convert", theirs, tmp_path / "mine.safetensors", "--names", "")
    assert code == 2
    assert "class names: expected texts that are not empty" in said
    assert not (tmp_path / "mine.safetensors").exists()


def test_another_ending(theirs: Path, tmp_path: Path) -> None:
    code, said = run("convert", theirs, tmp_path / "mine.pth")
    assert code == 2
    assert "expected a file ending in .safetensors" in said


class Trap:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("name", ["model.pkl", "model.pth"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    content, path = {"model": {"weight": Trap(tmp_path / "ran")}}, tmp_path / name
    path.write_bytes(pickle.dumps(content)) if name.endswith("pkl") else torch.save(content, path)
    code, said = run("convert", path, tmp_path / "mine.safetensors")
    assert code == 2
    assert "posix.mkdir" in said
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["m.onnx", "m.xml", "m.pt2"])
def test_an_exported_model_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    _, said = run("convert", tmp_path / name, tmp_path / "new.safetensors")
    assert "found an exported model" in said
