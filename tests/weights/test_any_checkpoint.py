"""Checkpoints of any library: whose they are, which classes they have, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.any_checkpoint import read_any_checkpoint
from maskrcnn.weights.catalog import CATALOG, COCO_NAMES
from maskrcnn.weights.checkpoint import save_checkpoint
from maskrcnn.weights.load import load_model
from tests.checkpoint_files import saved

Tiny = Callable[..., MaskRCNN]
Peers = Callable[[int], dict[str, Tensor]]


def test_another_architecture_is_told(tmp_path: Path, resnet18_state: dict[str, Tensor], peers_state: Peers) -> None:
    with pytest.raises(MaskRCNNError, match=r"expected a Mask R-CNN.*found parameters such as conv1\.weight, bn1"):
        load_model(saved(resnet18_state, tmp_path / "resnet.pth"))
    faster = {key: value for key, value in peers_state(3).items() if "mask" not in key}
    with pytest.raises(MaskRCNNError, match=r"expected a Mask R-CNN.*found Faster R-CNN"):
        load_model(saved(faster, tmp_path / "faster.pth"))
    other = {key.replace("layer3", "stage3"): value for key, value in peers_state(3).items()}
    with pytest.raises(MaskRCNNError, match="whose backbone is not ResNet"):
        load_model(saved(other, tmp_path / "other.pth"))


def test_91_outputs_are_cocos(tmp_path: Path, peers_state: Peers) -> None:
    checkpoint, notes = read_any_checkpoint(saved(peers_state(91), tmp_path / "model.pth"))
    assert checkpoint.names == COCO_NAMES
    assert notes[0] == "91 outputs: taken as COCO's categories"
    assert "states neither input size" in notes[1]
    assert checkpoint.config.backbone == "resnet18"
    assert checkpoint.config.norm_eps == 1e-5


def test_the_published_file_is_known_by_its_name(tmp_path: Path, peers_state: Peers) -> None:
    """It was trained before batch norm had an epsilon there."""
    checkpoint, notes = read_any_checkpoint(saved(peers_state(91), tmp_path / CATALOG["coco"].file))
    assert checkpoint.config.norm_eps == 0.0
    assert len(notes) == 1  # nothing else had to be assumed
    assert checkpoint.provenance["licence"] == "BSD-3-Clause"


def test_names_of_other_files_are_numbers_or_given(tmp_path: Path, peers_state: Peers) -> None:
    path = saved({"model": peers_state(4)}, tmp_path / "model.pth")
    checkpoint, notes = read_any_checkpoint(path)
    assert checkpoint.names == ("class 1", "class 2", "class 3")
    assert "names no classes" in notes[0]
    assert read_any_checkpoint(path, ["a", "b", "c"])[0].names == ("a", "b", "c")
    for names in (["a", "b"], ["background", "a", "b", "c"]):
        with pytest.raises(
            MaskRCNNError, match=rf"expected 3 class names, found {len(names)} \(leave background out\)"
        ):
            read_any_checkpoint(path, names)


def test_other_anchors_must_be_named(tmp_path: Path, peers_state: Peers) -> None:
    state = peers_state(3)
    for name, rows in (("cls_logits", 2), ("bbox_pred", 8)):
        for part in ("weight", "bias"):
            key = f"rpn.head.{name}.{part}"
            state[key] = state[key][:1].expand(rows, *state[key].shape[1:])
    path = saved(state, tmp_path / "model.pth")
    with pytest.raises(MaskRCNNError, match=r"of 2 anchors a cell, the settings of 3 .*anchor_ratios and anchor_sizes"):
        load_model(path)
    (tmp_path / "ours.yaml").write_text("anchor_ratios: [1, 2]\nanchor_sizes: [16, 32, 64, 128, 256]\n")
    config = load_model(path, config=tmp_path / "ours.yaml")[0].config
    assert (config.anchor_ratios, config.anchor_sizes) == ((1, 2), (16, 32, 64, 128, 256))
    settings = {"anchor_ratios": [1, 2], "anchor_sizes": [16, 32, 64, 128, 256]}
    assert load_model(path, config=settings)[0].config == config


def test_our_files_can_be_renamed(tmp_path: Path, tiny: Tiny) -> None:
    save_checkpoint(tiny("cat", "dog"), tmp_path / "ours.safetensors")
    assert load_model(tmp_path / "ours.safetensors", ["katze", "hund"])[0].names == ("katze", "hund")
    with pytest.raises(MaskRCNNError, match="expected 2 class names, found 3"):
        load_model(tmp_path / "ours.safetensors", ["a", "b", "c"])


@pytest.mark.parametrize("source", [None, 5, b"coco", ["coco"], "", "x" * 10_000, "a\0b", "~nobody-of-that-name/m.pth"])
def test_what_names_no_model(source: object) -> None:
    with pytest.raises(MaskRCNNError, match=r"model") as caught:
        load_model(source)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("cat", r"names=\['cat'\]"),
        (5, "expected a list"),
        ([], "expected 1 to"),
        (["a", "a"], "'a' given more than once"),
        (["a", ""], "not empty"),
        (["a", 3], "found 3"),
    ],
)
def test_names_that_are_none(tmp_path: Path, tiny: Tiny, peers_state: Peers, names: object, told: str) -> None:
    save_checkpoint(tiny("cat", "dog"), tmp_path / "ours.safetensors")
    for path in (tmp_path / "ours.safetensors", saved(peers_state(3), tmp_path / "theirs.pth")):
        with pytest.raises(MaskRCNNError, match=told):
            load_model(path, names)  # type: ignore[arg-type]


def test_a_yaml_of_another_library_is_not_passed_over(tmp_path: Path, tiny: Tiny, peers_state: Peers) -> None:
    save_checkpoint(tiny("cat", "dog"), tmp_path / "ours.safetensors")
    (tmp_path / "config.yaml").write_text("MODEL: {MASK_ON: true}\n")
    for path in (tmp_path / "ours.safetensors", saved(peers_state(3), tmp_path / "theirs.pth")):
        with pytest.raises(MaskRCNNError, match="yaml of detectron2, but the file is no detectron2 checkpoint"):
            load_model(path, ["a", "b"], tmp_path / "config.yaml")
        with pytest.raises(MaskRCNNError, match="config: expected the path"):
            load_model(path, ["a", "b"], 5)  # type: ignore[arg-type]
