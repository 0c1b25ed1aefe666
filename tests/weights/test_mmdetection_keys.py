"""mmdetection's files in our terms. No reference run exists here: state dicts are made from ours by its names."""

from __future__ import annotations

import decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.any_checkpoint import read_any_checkpoint
from maskrcnn.weights.load import load_model

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of red, green, blue

# mask_rcnn_r50_fpn of its configs/_base_/models, in our terms.
MMDETECTION = preset("resnet50_fpn").replace(
    preprocess={
        "mean": [value / 255 for value in MEAN],
        "std": [value / 255 for value in STD],
        "nearest_size": True,
        "whole_values": True,
    },
    anchor_rounding=False,
    anchor_offset=0.0,
    rpn_before_nms=(2000, 1000),
    proposals=(1000, 1000),
    roi_aligned=True,
    roi_sampling=0,
    rpn_beta=0.0,
    box_beta=0.0,
    paste_quantized=False,
)
SMALL = {"backbone": "resnet18", "fpn_channels": 8, "box_hidden": (16, 12), "mask_convs": (8, 6)}
CONFIG_2 = """
img_norm_cfg = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
model = dict(type='MaskRCNN', backbone=dict(type='ResNet', depth=50, style='caffe'))
import os; os.mkdir('ran')
"""
CONFIG_3 = """
model = dict(
    data_preprocessor=dict(bgr_to_rgb=True, mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0], pad_mask=True),
    backbone=dict(style='pytorch'))
"""


def as_mmdetection(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our parameters under the names that mmdetection gives them."""
    out = {}
    for key, value in state.items():
        part, *rest = key.split(".")
        last = rest[-1]
        if part == "backbone":
            name = key
        elif part == "fpn":
            name = f"neck.{'lateral' if rest[0] == 'lateral' else 'fpn'}_convs.{rest[1]}.conv.{last}"
        elif part == "rpn":
            middle = {"convs": "conv", "logits": "cls", "deltas": "reg"}[rest[0]]
            name = f"rpn_head.rpn_{middle}.{last}"
        elif part == "box_head":
            places = {"logits": "fc_cls", "deltas": "fc_reg"}
            name = f"roi_head.bbox_head.{places.get(rest[0]) or f'shared_fcs.{rest[1]}'}.{last}"
        else:
            places = {"upsample": "upsample", "logits": "conv_logits"}
            name = f"roi_head.mask_head.{places.get(rest[0]) or f'convs.{rest[1]}.conv'}.{last}"
        out[name] = value
    out["backbone.bn1.num_batches_tracked"] = torch.tensor(5)
    return out


def small(**changes: Any) -> MaskRCNN:
    torch.manual_seed(0)
    model = MaskRCNN(MMDETECTION.replace(**{**SMALL, **changes}), ("cat", "dog", "cow")).eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            value.uniform_(0.5, 1.5) if "running_var" in key else value.normal_(std=0.05)
    return model


def detected(model: MaskRCNN) -> list[Tensor]:
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        return list(model.detect(images, torch.tensor([[64, 96]])))


def saved(state: dict[str, Tensor], path: Path, **meta: Any) -> Path:
    torch.save({"state_dict": state, "meta": {"env_info": "…", "epoch": 12, **meta}, "optimizer": {}}, path)
    return path


@pytest.mark.parametrize(
    "meta",
    [{"CLASSES": ("cat", "dog", "cow")}, {"dataset_meta": {"classes": ["cat", "dog", "cow"]}},
     {"dataset_meta": {"CLASSES": ("cat", "dog", "cow"), "PALETTE": [(1, 2, 3)]}}],
)  # fmt: skip
def test_a_model_comes_back_as_it_was(tmp_path: Path, meta: dict[str, Any]) -> None:
    model = small()
    back, report = load_model(saved(as_mmdetection(model.state_dict()), tmp_path / "epoch_12.pth", **meta))
    assert back.config == model.config
    assert back.names == ("cat", "dog", "cow")
    assert (report.reinitialised, report.unused) == ([], [])
    assert any("holds no pixel statistics" in note for note in report.notes)
    assert any("'pytorch' is assumed" in note for note in report.notes)
    for ours, theirs in zip(detected(model), detected(back), strict=True):
        assert torch.equal(ours, theirs)


def test_a_published_file(tmp_path: Path) -> None:
    """mmdetection's publish_model.py writes torch's format of before 1.6."""
    content = {"state_dict": as_mmdetection(small().state_dict()), "meta": {"CLASSES": ("cat", "dog", "cow")}}
    torch.save(content, tmp_path / "model.pth", _use_new_zipfile_serialization=False)
    assert load_model(tmp_path / "model.pth")[0].names == ("cat", "dog", "cow")


def test_class_agnostic_heads(tmp_path: Path) -> None:
    model = small(box_class_agnostic=True, mask_class_agnostic=True)
    back, _ = load_model(saved(as_mmdetection(model.state_dict()), tmp_path / "model.pth", CLASSES=model.names))
    assert back.config == model.config


def test_a_config_in_the_file_is_read_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2.x, caffe style: BGR, std 1, stride in the first convolution of a bottleneck."""
    monkeypatch.chdir(tmp_path)
    path = saved(as_mmdetection(small().state_dict()), tmp_path / "model.pth", config=CONFIG_2)
    checkpoint, notes = read_any_checkpoint(path, ["cat", "dog", "cow"])
    assert checkpoint.config == MMDETECTION.replace(
        **SMALL, preprocess={"std": [1 / 255] * 3}, backbone_stride_in_1x1=True
    )
    assert torch.equal(checkpoint.state["backbone.conv1.weight"], small().backbone.conv1.weight.flip(1))
    assert any("BGR" in note for note in notes)
    assert not (tmp_path / "ran").exists()


def test_a_config_of_3_x(tmp_path: Path) -> None:
    path = saved(as_mmdetection(small().state_dict()), tmp_path / "model.pth", cfg=CONFIG_3)
    config = read_any_checkpoint(path)[0].config
    assert config.preprocess.mean == pytest.approx([value / 255 for value in (100, 110, 120)])
    assert config.preprocess.std == pytest.approx([value / 255 for value in (50, 60, 70)])
    assert not config.backbone_stride_in_1x1


@pytest.mark.parametrize(
    "text",
    [
        "not python (",
        "img_norm_cfg = dict(mean=1, std=2)",
        "mean = [" * 300,
        "n = dict(mean=['a', 'b', 'c'], std=[1, 1, 1])",
        "n = dict(mean=[None, [1], 1j], std=[1, 1, 1])",
        f"n = dict(mean=[{'9' * 400}, 0, 0], std=[1, 1, 1])",
        "n = dict(mean=[1e999, 0, 0], std=[1, 1, 1])",
        f"n = dict(mean={'-' * 5000}1, std=[1, 1, 1])",
    ],
)
def test_a_config_that_tells_nothing(tmp_path: Path, text: str) -> None:
    path = saved(as_mmdetection(small().state_dict()), tmp_path / "model.pth", config=text)
    assert read_any_checkpoint(path)[0].config == small().config


def test_objects_beside_the_weights_cost_nothing(tmp_path: Path) -> None:
    """mmengine keeps histories of losses beside the weights, as objects of its own."""
    path = saved(as_mmdetection(small().state_dict()), tmp_path / "model.pth", history=decimal.Decimal(1))
    assert read_any_checkpoint(path)[0].config == small().config


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("roi_head.bbox_head.0.fc_cls.weight", "Cascade R-CNN"),
        ("roi_head.point_head.fcs.0.conv.weight", "PointRend"),
        ("roi_head.mask_iou_head.convs.0.weight", "Mask Scoring R-CNN"),
        ("backbone.layer2.0.conv2.conv_offset.weight", "deformable convolutions"),
        ("neck.lateral_convs.0.gn.weight", "group normalisation"),
        ("backbone.stem.0.weight", "deep stem"),
        ("neck.fpn_convs.4.conv.weight", "add_extra_convs"),
        ("bbox_head.fc_cls.weight", r"mmdetection 1\.x"),
    ],
)
def test_what_we_lack_is_named(tmp_path: Path, name: str, told: str) -> None:
    state = {**as_mmdetection(small().state_dict()), name: torch.zeros(2)}
    with pytest.raises(MaskRCNNError, match=told):
        read_any_checkpoint(saved(state, tmp_path / "model.pth"))


def test_retinanet_is_named(tmp_path: Path) -> None:
    state = {"backbone.conv1.weight": torch.zeros(2), "bbox_head.retina_cls.weight": torch.zeros(2)}
    with pytest.raises(MaskRCNNError, match="found RetinaNet"):
        read_any_checkpoint(saved(state, tmp_path / "model.pth"))


def test_a_wrong_number_of_names(tmp_path: Path) -> None:
    path = saved(as_mmdetection(small().state_dict()), tmp_path / "model.pth", CLASSES=("cat",))
    with pytest.raises(MaskRCNNError, match="expected 3 class names, found 1"):
        read_any_checkpoint(path)
    assert read_any_checkpoint(path, ["a", "b", "c"])[0].names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("rpn", "box", "betas", "told"),
    [
        ("dict(type='L1Loss', loss_weight=1.0)", "dict(type='L1Loss')", (0.0, 0.0), []),
        ("dict(type='SmoothL1Loss', beta=0.25)", "dict(type='SmoothL1Loss')", (0.25, 1.0), []),
        ("dict(type='GIoULoss')", "{'type': 'SmoothL1Loss', 'beta': 0.5}", (0.0, 0.5), ["rpn_head: 'GIoULoss'"]),
        ("dict(type='SmoothL1Loss', beta='x')", "loss", (0.0, 0.0), ["rpn_head: 'SmoothL1Loss'"]),
    ],
)
def test_box_losses_are_read(tmp_path: Path, rpn: str, box: str, betas: tuple[float, float], told: list[str]) -> None:
    text = f"model = dict(rpn_head=dict(loss_bbox={rpn}), roi_head=dict(bbox_head=dict(loss_bbox={box})))"
    path = saved(as_mmdetection(small().state_dict()), tmp_path / "model.pth", config=text)
    checkpoint, notes = read_any_checkpoint(path)
    assert (checkpoint.config.rpn_beta, checkpoint.config.box_beta) == betas
    assert [line for line in told if not any(line in note for note in notes)] == []
    assert sum("is not followed" in note for note in notes) == len(told)


@pytest.mark.parametrize("mean", ["['a', 'b', 'c']", "[None] * 3", "[1, 2]", "[1e999, 0, 0]", "[[1], [2], [3]]"])
def test_pixel_statistics_that_are_none_are_not_read(tmp_path: Path, mean: str) -> None:
    text = f"a = dict(mean={mean}, std=[1, 1, 1])"
    path = saved(as_mmdetection(small().state_dict()), tmp_path / "model.pth", config=text)
    assert any("holds no pixel statistics" in note for note in read_any_checkpoint(path)[1])
