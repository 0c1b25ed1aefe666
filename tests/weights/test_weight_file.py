"""Weight files of any kind: what is refused is one clear error, and nothing in a file is run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.load import load_model
from maskrcnn.weights.weight_file import read_weight_file
from tests.checkpoint_files import saved

Tiny = Callable[..., MaskRCNN]
Peers = Callable[[int], dict[str, Tensor]]


class Trap:
    """A pickle that makes a folder when it is loaded carelessly."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz])
def test_numbers_of_eight_bits(peers_state: Peers, tmp_path: Path, kind: torch.dtype) -> None:
    state = peers_state(2)
    key = "roi_heads.box_predictor.cls_score.weight"
    state[key] = torch.full_like(state[key], 0.5).to(kind)
    model, _ = load_model(saved(state, tmp_path / "eight.pth"), ["cat"])
    assert bool((model.state_dict()["box_head.logits.weight"] == 0.5).all())


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / "model.pth"
    if how == "torch":
        torch.save({"weight": Trap(marker)}, path)
    else:
        path.write_bytes(pickle.dumps({"weight": Trap(marker)}, protocol=2))
    with pytest.raises(MaskRCNNError, match=r"model\.pth: not a weight file that can be read safely"):
        load_model(path)
    assert not marker.exists()
    # The trap does work.
    torch.load(path, weights_only=False) if how == "torch" else pickle.loads(path.read_bytes())
    assert marker.exists()


def test_the_refusal_does_not_advise_to_run_the_code(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError) as caught:
        read_weight_file(saved({"weight": Trap(tmp_path / "ran")}, tmp_path / "model.pth"))
    assert "weights_only" not in str(caught.value)
    assert "still be loaded" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<!DOCTYPE html>",
        b'{"a": 1}',
        b"404: Not Found",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"PK\x03\x04",
        b"error: no such file",
        b"training log",
        b"Gone",
    ],
)
def test_what_is_no_weight_file_is_one_clear_error(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(text)
    with pytest.raises(MaskRCNNError, match=r"model\.pth: not a weight file that can be read safely"):
        load_model(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_file_is_one_clear_error(tmp_path: Path, share: float) -> None:
    path = saved({"weight": torch.zeros(1000)}, tmp_path / "model.pth")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(MaskRCNNError, match="not a weight file that can be read safely"):
        load_model(path)


@pytest.mark.parametrize("content", [[torch.zeros(1)], torch.zeros(2), {"a": 1.5}, {"model": {"a": [1]}}])
def test_what_is_no_state_dict_is_told(tmp_path: Path, content: object) -> None:
    with pytest.raises(MaskRCNNError, match=r"expected a state dict of tensors \(save model\.state_dict\(\)\)"):
        load_model(saved(content, tmp_path / "model.pth"))


def test_keys_that_are_no_names(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError):
        load_model(saved({1: torch.zeros(2)}, tmp_path / "model.pth"))


def test_keras_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "mask_rcnn_coco.h5").write_bytes(b"\x89HDF")
    with pytest.raises(MaskRCNNError, match=r"Matterport's Mask R-CNN, which is not supported"):
        load_model(tmp_path / "mask_rcnn_coco.h5")
