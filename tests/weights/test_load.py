"""Any checkpoint into our model: what is copied, what is refused, and what the report says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from maskrcnn.config import preset
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.checkpoint import Checkpoint
from maskrcnn.weights.load import load_checkpoint, load_model
from maskrcnn.weights.torchvision_keys import convert_torchvision
from tests.checkpoint_files import channels, first_layer, saved

Tiny = Callable[..., MaskRCNN]
Peers = Callable[[int], dict[str, Tensor]]


def test_a_torchvision_file_fills_the_whole_model(tmp_path: Path, peers_state: Peers) -> None:
    model, report = load_model(saved(peers_state(3), tmp_path / "model.pth"), ["a", "b"])
    assert (report.reinitialised, report.unused) == ([], [])
    counted = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
    assert report.matched == len(counted)
    assert not model.training


def as_checkpoint(model: MaskRCNN) -> Checkpoint:
    return Checkpoint(model.state_dict(), model.names, model.config, {})


def test_rows_go_where_the_names_are_the_same(tiny: Tiny) -> None:
    old, new = tiny("cat", "dog", "bird"), tiny("dog", "fish", "cat")
    before = {key: value.clone() for key, value in new.state_dict().items()}
    report = load_checkpoint(new, as_checkpoint(old), "old")
    assert report.classes_copied == ["dog", "cat"]
    assert report.classes_new == ["fish"]
    assert report.reinitialised == []
    for part in ("weight", "bias"):
        for layer, rows in (("box_head.logits", 1), ("box_head.deltas", 4), ("mask_head.logits", 1)):
            key = f"{layer}.{part}"
            was, now = old.state_dict()[key], new.state_dict()[key]
            start = before[key]
            assert torch.equal(now[:rows], was[rows : 2 * rows]), key
            assert torch.equal(now[rows : 2 * rows], start[rows : 2 * rows]), key
            assert torch.equal(now[2 * rows : 3 * rows], was[:rows]), key
        key = f"box_head.logits.{part}"
        assert torch.equal(new.state_dict()[key][-1], old.state_dict()[key][-1])  # background
    assert torch.equal(new.state_dict()["fpn.lateral.0.0.weight"], old.state_dict()["fpn.lateral.0.0.weight"])
    lines = "\n".join(report.lines())
    assert "classes copied by name: dog, cat" in lines
    assert "classes new, their rows initialised: fish" in lines


def test_the_same_names_in_another_order(tiny: Tiny) -> None:
    old, new = tiny("cat", "dog"), tiny("dog", "cat")
    report = load_checkpoint(new, as_checkpoint(old), "old")
    assert report.classes_new == []
    assert torch.equal(new.mask_head.logits.weight[0], old.mask_head.logits.weight[1])


def test_what_does_not_fit_is_listed(tiny: Tiny) -> None:
    old, new = tiny("cat", box_hidden=(16,)), tiny("cat", box_hidden=(24,))
    checkpoint = as_checkpoint(old)
    del checkpoint.state["rpn.logits.bias"]
    checkpoint.state["extra"] = torch.zeros(1)
    report = load_checkpoint(new, checkpoint, "old")
    why = dict(report.reinitialised)
    assert why.keys() == {
        "rpn.logits.bias", "box_head.hidden.0.weight", "box_head.hidden.0.bias", "box_head.logits.weight",
        "box_head.deltas.weight",
    }  # fmt: skip
    assert why["rpn.logits.bias"] == "not in the checkpoint"
    assert why["box_head.hidden.0.bias"] == "shape [16] there, [24] here"
    assert [key for key, _ in report.unused] == ["extra"]
    assert "not in the checkpoint" in "\n".join(report.lines())


def test_what_does_not_fit_is_listed_for_other_classes_too(tiny: Tiny) -> None:
    report = load_checkpoint(tiny("dog", box_hidden=(24,)), as_checkpoint(tiny("cat", "dog", box_hidden=(16,))), "old")
    assert "box_head.logits.weight" in dict(report.reinitialised)


@pytest.mark.parametrize("count", [1, 6, 12])
def test_a_first_layer_on_pictures_is_spread_over_other_channels(tiny: Tiny, count: int) -> None:
    """Of channels that are all alike, it gives what it gave for grey pictures."""
    rgb, other = tiny("cat"), tiny("cat", **channels(count))
    report = load_checkpoint(other, Checkpoint(rgb.state_dict(), rgb.names, rgb.config, {}), "rgb")
    assert report.reinitialised == []
    assert sum("spread" in note for note in report.notes) == 1
    grey = torch.rand(1, 1, 16, 16)
    gives = [
        torch.nn.functional.conv2d(grey.repeat(1, number, 1, 1), first_layer(model))
        for number, model in ((3, rgb), (count, other))
    ]
    torch.testing.assert_close(*gives)


def test_four_channels_take_red_green_blue_and_red(tiny: Tiny) -> None:
    rgb, other = tiny("cat"), tiny("cat", **channels(4))
    load_checkpoint(other, Checkpoint(rgb.state_dict(), rgb.names, rgb.config, {}), "rgb")
    expected = first_layer(rgb)[:, [0, 1, 2, 0]] * 3 / 4
    torch.testing.assert_close(first_layer(other), expected)


def test_weights_for_the_same_channels_are_copied_and_for_others_not(tiny: Tiny) -> None:
    five, same, six = (tiny("cat", **channels(count)) for count in (5, 5, 6))
    checkpoint = Checkpoint(five.state_dict(), five.names, five.config, {})
    assert load_checkpoint(same, checkpoint, "five").reinitialised == []
    assert torch.equal(first_layer(same), first_layer(five))
    assert len(load_checkpoint(six, checkpoint, "five").reinitialised) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", {"backbone": "resnet50"}),
        ("resnet152", {"backbone": "resnet152"}),
        ("resnext50_32x4d", {"backbone": "resnet50", "backbone_groups": 32, "backbone_group_width": 4}),
        ("wide_resnet101_2", {"backbone": "resnet101", "backbone_group_width": 128}),
    ],
)
def test_any_resnet_that_torchvision_builds_a_pyramid_on(name: str, expected: dict[str, object]) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.detection.MaskRCNN(
            resnet_fpn_backbone(backbone_name=name, weights=None, norm_layer=torch.nn.BatchNorm2d), 4
        ).state_dict()
        foreign = convert_torchvision(theirs, Path("model.pth"))
        ours = MaskRCNN(foreign.config, ["a", "b", "c"]).state_dict()
    assert foreign.config == preset("resnet50_fpn").replace(**expected, backbone_norm="batch")
    assert {key: value.shape for key, value in foreign.state.items()} == {
        key: value.shape for key, value in ours.items()
    }


def test_rows_of_class_agnostic_heads_stay_as_they_are(tiny: Tiny) -> None:
    agnostic = {"box_class_agnostic": True, "mask_class_agnostic": True}
    old, new = tiny("cat", "dog", "bird", **agnostic), tiny("dog", "fish", **agnostic)
    report = load_checkpoint(new, as_checkpoint(old), "old")
    assert report.reinitialised == []
    assert torch.equal(new.box_head.deltas.weight, old.box_head.deltas.weight)
    assert torch.equal(new.mask_head.logits.weight, old.mask_head.logits.weight)
    each = tiny("dog", "fish")
    reasons = dict(load_checkpoint(each, as_checkpoint(old), "old").reinitialised)
    assert {"box_head.deltas.weight", "mask_head.logits.weight"} <= reasons.keys()
    assert len(load_checkpoint(tiny("cat", "cow", **agnostic), as_checkpoint(each), "each").reinitialised) == 4
