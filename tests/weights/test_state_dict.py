"""One dict of tensors is found wherever it lies, under any prefix, in any of torch's formats; nothing is run."""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN as Peer
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from maskrcnn.errors import MaskRCNNError
from maskrcnn.weights.load import load_model
from maskrcnn.weights.state_dict import find_state_dict
from maskrcnn.weights.weight_file import read_weight_file
from tests.outcomes import Outcomes

KEYS = (
    "backbone.body.conv1.weight", "backbone.fpn.inner_blocks.0.0.weight", "rpn.head.cls_logits.weight",
    "roi_heads.box_predictor.cls_score.weight", "roi_heads.mask_predictor.mask_fcn_logits.weight",
)  # fmt: skip
THEIRS = {
    "torchvision": KEYS,
    "detectron2": ("backbone.bottom_up.stem.conv1.weight", "proposal_generator.rpn_head.conv.weight", "roi_heads.a"),
    "mmdetection": ("backbone.conv1.weight", "neck.lateral_convs.0.conv.weight", "roi_head.bbox_head.fc_cls.weight"),
}


def some(keys: tuple[str, ...] = KEYS, start: float = 0.0) -> dict[str, Tensor]:
    return {key: torch.full((2, 3), start + number) for number, key in enumerate(keys)}


def under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def same(found: dict[str, Tensor], state: dict[str, Tensor]) -> bool:
    return found.keys() == state.keys() and all(torch.equal(found[key], value) for key, value in state.items())


def read(content: Any, path: Path, **how: Any) -> tuple[dict[str, Tensor], list[str]]:
    torch.save(content, path, **how)
    contents = read_weight_file(path)
    return contents.state, contents.notes


@pytest.mark.parametrize("library", THEIRS)
@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "module.",
        "model.",
        "net.",
        "_orig_mod.",
        "model._orig_mod.module.",
        "a.very.long.way.",
        "student_1.",
        "模型.",
    ],
)
@pytest.mark.parametrize("place", [[], ["state_dict"], ["anything"], ["runs", 3, "weights"], ["ema", "module"]])
def test_any_place_and_any_prefix(tmp_path: Path, library: str, prefix: str, place: list[Any]) -> None:
    state = some(THEIRS[library])
    content: Any = under(prefix, state)
    for key in reversed(place):
        content = [0, 1, 2, content] if key == 3 else {"epoch": 3, key: content}
    found, notes = read(content, tmp_path / "model.ckpt")
    assert same(found, state)
    assert bool(notes) == bool(place or prefix)
    assert all(repr(".".join(map(str, place))) in note for note in notes if place)
    assert all(repr(prefix) in note for note in notes if prefix)


def test_wrappers_within_names(tmp_path: Path) -> None:
    """Of FSDP, activation checkpointing, and compiling or distributing a part."""
    state = some()
    parts = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.", "module.", "")
    wrapped = {key.replace(".", f".{part}", 1): value for part, (key, value) in zip(parts, state.items(), strict=True)}
    assert same(read({"model": wrapped}, tmp_path / "model.pth")[0], state)


class Mode(str):
    """A text of a class of its own, as enums are."""


def beside() -> dict[str, Any]:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(4))])
    (optimizer.param_groups[0]["params"][0]).grad = torch.ones(4)
    optimizer.step()
    return {
        "args": argparse.Namespace(lr=0.02, device="cuda", out=pathlib.Path("runs")),
        "best": np.float64(0.5),
        "curve": np.arange(3.0),
        "when": datetime.datetime(2024, 5, 6),
        "counts": collections.defaultdict(list, a=[1]),
        "history": collections.deque([1.0, 2.0], maxlen=4),
        "device": torch.device("cpu"),
        "dtype": torch.bfloat16,
        "size": torch.Size([1, 2]),
        "mode": Mode("max"),
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3),
        "rng": torch.get_rng_state(),
        "hyper_parameters": {"num_classes": 3, "layer": nn.Linear(2, 2), "act": nn.ReLU},
        "none": None,
        "set": {1, 2},
        "complex": 1j,
    }


@pytest.mark.parametrize("first", [True, False])
def test_what_lies_beside_is_inert(tmp_path: Path, first: bool) -> None:
    state = some()
    content = {"net": state, **beside()} if first else {**beside(), "net": state}
    found, notes = read(content, tmp_path / "model.pth")
    assert same(found, state)
    assert notes == ["parameters taken from 'net'"]


@pytest.mark.parametrize(
    ("content", "place", "other"),
    [
        ({"model": 0, "model_ema": 1}, "model", "model_ema"),
        ({"model_ema": 1, "model": 0}, "model", "model_ema"),
        ({"state_dict_ema": 1, "state_dict": 0}, "state_dict", "state_dict_ema"),
        ({"ema_state_dict": 1, "state_dict": 0}, "state_dict", "ema_state_dict"),
        ({"teacher": 1, "student": 0}, "student", "teacher"),
        ({"best": 0, "last": 1}, "best", "last"),
    ],
)
def test_of_weights_and_their_average_the_weights_are_taken_and_told(
    tmp_path: Path, content: dict[str, int], place: str, other: str
) -> None:
    states = [some(), under("module.", some(start=9.0))]
    found, notes = read({key: states[number] for key, number in content.items()}, tmp_path / "model.pth")
    assert same(found, some())
    assert notes == [f"parameters taken from {place!r}; {other!r} holds the same parameters too, which are not used"]


def test_an_average_alone_is_taken(tmp_path: Path) -> None:
    found, notes = read({"ema": {**under("module.", some()), "n_averaged": torch.tensor(5)}}, tmp_path / "model.pth")
    assert same(found, some())
    assert notes == ["parameters taken from 'ema', prefix 'module.' stripped"]


def test_moments_of_an_optimiser_by_name_are_no_weights(tmp_path: Path) -> None:
    content = {"optimizer": {"exp_avg": some(start=7.0)}, "grads": some(start=8.0), "zz": some()}
    assert same(read(content, tmp_path / "model.pth")[0], some())


def test_teacher_and_student_in_one_dict(tmp_path: Path) -> None:
    content = {"model": {**under("modelTeacher.", some(start=5.0)), **under("modelStudent.", some())}}
    found, notes = read(content, tmp_path / "model.pth")
    assert same(found, some())
    assert "prefix 'modelStudent.' stripped; 'modelTeacher.' holds" in notes[0]


def test_nested_as_a_tree(tmp_path: Path) -> None:
    tree: dict[str, Any] = {}
    for key, value in some().items():
        place = tree
        *way, last = key.split(".")
        for part in way:
            place = place.setdefault(part, {})
        place[last] = value
    assert same(read({"params": tree, "step": 3}, tmp_path / "model.pth")[0], under("", some()))


@pytest.fixture(scope="module")
def peer() -> Peer:
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    return Peer(backbone, num_classes=3, box_detections_per_img=7).eval()


def test_whole_models_and_every_format(tmp_path: Path, peer: Peer) -> None:
    """A pickled module is read as what it holds; old formats, plain pickles and .safetensors as today's archive."""
    state = peer.state_dict()
    torch.save(state, tmp_path / "plain.pth")
    torch.save({"model": state}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(peer, tmp_path / "whole.pt")
    torch.save({"ema": nn.DataParallel(peer)}, tmp_path / "parallel.pt")
    (tmp_path / "pickled.pkl").write_bytes(pickle.dumps({"weights": state}))
    (tmp_path / "numpy.pkl").write_bytes(pickle.dumps({key: value.numpy() for key, value in state.items()}))
    save_file(state, tmp_path / "theirs.safetensors")
    save_file(under("model.", state), tmp_path / "hub.SAFETENSORS", {"format": "pt"})
    expected = load_model(tmp_path / "plain.pth", ["cat", "dog"])[0].state_dict()
    for path in sorted(tmp_path.iterdir()):
        found = load_model(path, ["cat", "dog"])[0].state_dict()
        assert same(found, expected), path.name


def test_torchscript_is_read_as_what_it_holds(tmp_path: Path) -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.ModuleDict({"cls_logits": nn.Linear(2, 2), "bbox_pred": nn.Linear(2, 2)})

        def forward(self, x: Tensor) -> Tensor:
            return self.head["cls_logits"](x) + self.head["bbox_pred"](x)

    model = nn.ModuleDict({"rpn": Part()})["rpn"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(model, torch.zeros(1, 2)).save(tmp_path / "script.pt")
    state = read_weight_file(tmp_path / "script.pt").state
    assert same(state, model.state_dict())


class Trap:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return pathlib.Path.mkdir, (self.marker,)


class OwnTrap:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __setstate__(self, state: dict) -> None:
        state["marker"].mkdir()


@pytest.mark.parametrize("trap", [Trap, OwnTrap])
@pytest.mark.parametrize("new", [True, False])
def test_nothing_in_the_file_is_run(tmp_path: Path, trap: Callable[[Path], object], new: bool) -> None:
    state, marker, path = some(), tmp_path / "ran", tmp_path / "model.pth"
    found, _ = read({"model": state, "args": trap(marker)}, path, _use_new_zipfile_serialization=new)
    assert same(found, state)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the trap does work
    assert marker.exists()


def strange(kind: str) -> Tensor:
    if kind == "meta":
        return torch.zeros(2, 3, device="meta")
    if kind == "sparse":
        return torch.eye(3).to_sparse()
    if kind == "quantised":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8)
    return torch.zeros(2, 3, dtype=getattr(torch, kind))


@pytest.mark.parametrize("kind", ["meta", "sparse", "quantised", "complex64", "bool", "int64", "uint8"])
def test_tensors_that_are_no_plain_numbers(tmp_path: Path, kind: str) -> None:
    state = {**some(), KEYS[1]: strange(kind)}
    with pytest.raises(MaskRCNNError, match=r"model\.pth: parameter 'backbone\.fpn\.inner.* (is|found) .*\(save the"):
        read(state, tmp_path / "model.pth")
    assert same(read({"net": some(), "beside": {"weight": strange(kind)}}, tmp_path / "model.pth")[0], some())


def test_four_bytes_do_not_stand_for_gigabytes(tmp_path: Path) -> None:
    huge = {**some(), KEYS[0]: torch.zeros(1).expand(2**16, 2**20)}
    with pytest.raises(MaskRCNNError, match=r"expand to 256\.0 GiB in a file of 0\.0 MiB"):
        read(huge, tmp_path / "model.pth")
    small = {**some(), KEYS[0]: torch.zeros(1).expand(8, 4)}
    assert same(read(small, tmp_path / "model.pth")[0], small)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_told(tmp_path: Path, value: float) -> None:
    _, notes = read({**some(), KEYS[2]: torch.full((2, 2), value)}, tmp_path / "model.pth")
    assert notes == [f"1 of 5 parameters hold NaN or infinity, {KEYS[2]} first: training diverged"]


@pytest.mark.parametrize("shape", [(0,), (0, 3), ()])
def test_parameters_of_no_size(tmp_path: Path, peer: Peer, shape: tuple[int, ...]) -> None:
    for key in ("roi_heads.box_head.fc6.weight", "backbone.fpn.layer_blocks.0.0.weight", "rpn.head.cls_logits.bias"):
        torch.save({**peer.state_dict(), key: torch.zeros(shape)}, tmp_path / "model.pth")
        with pytest.raises(MaskRCNNError):
            load_model(tmp_path / "model.pth")


def test_views_and_kinds_of_numbers_come_back(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = some()
    for key, value in zip(KEYS, (base.T, base[1:, ::2], base.half(), base.bfloat16(), base.double()), strict=True):
        state[key] = value
    state["a.steps"], state["a.none"] = torch.tensor(3), torch.zeros(0, 4)
    for new in (True, False):
        found, _ = read(state, tmp_path / "model.pth", _use_new_zipfile_serialization=new)
        assert same(found, state)
        assert all(found[key].dtype == value.dtype for key, value in state.items())


def test_a_damaged_file_is_read_or_refused(tmp_path: Path) -> None:
    path, outcomes = tmp_path / "model.pth", Outcomes()

    @settings(max_examples=150, deadline=None)
    @given(st.booleans(), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3)), min_size=1, max_size=4))
    def case(new: bool, damage: list[tuple[float, bytes]]) -> None:
        torch.save({"model": some(), "args": argparse.Namespace(a=1)}, path, _use_new_zipfile_serialization=new)
        content = path.read_bytes()
        for place, put in damage:
            at = int(place * len(content))
            content = content[:at] + put + content[at + 1 :]
        path.write_bytes(content)
        error = outcomes.attempt(read_weight_file, path)
        assert error is None or str(path) in str(error)

    case()
    outcomes.check_both()


def test_nothing_at_all() -> None:
    assert find_state_dict({"epoch": 3, "list": [1, {"a": None}]}) is None
    assert find_state_dict([1, 2]) is None
