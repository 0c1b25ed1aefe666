"""detectron2's files in our terms: every kind of model we have, what a yaml adds, and what is refused by name."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.input_size import resized_size
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.any_checkpoint import read_any_checkpoint
from maskrcnn.weights.load import load_model

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of red, green, blue

# What detectron2 is by default (its defaults.py and Base-RCNN-FPN.yaml), in our terms.
DETECTRON2 = preset("resnet50_fpn").replace(
    preprocess={
        "mean": [value / 255 for value in MEAN],
        "std": [1 / 255] * 3,
        "antialias": True,
        "nearest_size": True,
        "whole_values": True,
    },
    backbone_stride_in_1x1=True,
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


def as_detectron2(state: dict[str, Tensor], bgr: bool = True) -> dict[str, Tensor]:
    """Our parameters under the names that detectron2 gives them."""
    out = {}
    for key, value in state.items():
        part, *rest = key.split(".")
        if part == "backbone":
            if rest[0] in ("conv1", "bn1"):
                where = ["stem", "conv1"]
                value = value.flip(1) if bgr and rest[0] == "conv1" else value
            else:
                where = [f"res{int(rest[0][5:]) + 1}", rest[1]]
                where.append("shortcut" if rest[2] == "downsample" else f"conv{rest[2][-1]}")
            norm = ["norm"] if "bn" in rest[-2] or rest[-3:-1] == ["downsample", "1"] else []
            name = ".".join(["backbone.bottom_up", *where, *norm, rest[-1]])
        elif part == "fpn":
            norm = "norm." if rest[2] == "1" else ""
            name = f"backbone.fpn_{rest[0]}{int(rest[1]) + 2}.{norm}{rest[-1]}"
        elif part == "rpn":
            middle = {"convs": "conv", "logits": "objectness_logits", "deltas": "anchor_deltas"}[rest[0]]
            name = f"proposal_generator.rpn_head.{middle}.{rest[-1]}"
        elif part == "box_head":
            predictors = {"logits": "box_predictor.cls_score", "deltas": "box_predictor.bbox_pred"}
            place = predictors.get(rest[0]) or f"box_head.fc{int(rest[1]) + 1}"
            name = f"roi_heads.{place}.{rest[-1]}"
        else:
            places = {"upsample": "deconv", "logits": "predictor"}
            place = places.get(rest[0]) or f"mask_fcn{int(rest[1]) + 1}"
            name = f"roi_heads.mask_head.{place}.{rest[-1]}"
        out[name] = value
    return out


def small(*names: str, **changes: Any) -> MaskRCNN:
    """A network whose every parameter is drawn, in detectron2's settings."""
    torch.manual_seed(0)
    model = MaskRCNN(DETECTRON2.replace(**{**SMALL, **changes}), names or ("cat", "dog", "cow")).eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            value.uniform_(0.5, 1.5) if "running_var" in key or value.dim() == 0 else value.normal_(std=0.05)
    return model


def shapes(classes: int = 80, **changes: Any) -> dict[str, Tensor]:
    """detectron2's state dict of such a network, without room for its numbers."""
    with torch.device("meta"):
        state = MaskRCNN(DETECTRON2.replace(**changes), ["x"] * classes).state_dict()
    spread = {
        key: torch.zeros((1,) * value.dim(), dtype=value.dtype).expand(value.shape) for key, value in state.items()
    }
    return as_detectron2(spread)


def saved(state: dict[str, Tensor], path: Path, **rest: Any) -> Path:
    if path.suffix == ".pth":
        torch.save({"model": state, **rest}, path)
    else:
        arrays = {key: value.numpy() for key, value in state.items()}
        path.write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
    return path


def write_yaml(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def detected(model: MaskRCNN) -> list[Tensor]:
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        return list(model.detect(images, torch.tensor([[64, 96]])))


@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
@pytest.mark.parametrize("changes", [{}, {"box_class_agnostic": True, "mask_class_agnostic": True}])
def test_a_model_comes_back_as_it_was(tmp_path: Path, suffix: str, changes: dict) -> None:
    model = small(**changes)
    path = saved(as_detectron2(model.state_dict()), tmp_path / f"model{suffix}")
    back, report = load_model(path, model.names)
    assert back.config == model.config
    assert (report.reinitialised, report.unused) == ([], [])
    assert any("no yaml beside the file" in note for note in report.notes)
    assert any("BGR" in note for note in report.notes)
    for ours, theirs in zip(detected(model), detected(back), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "resnet18"},
        {"backbone": "resnet34"},
        {"backbone": "resnet101"},
        {"backbone": "resnet101", "backbone_groups": 32, "backbone_group_width": 8},
        {"backbone_norm": "batch", "fpn_norm": "batch"},
        {"fpn_channels": 128, "box_hidden": (512,), "mask_convs": (64,) * 8},
    ],
)
def test_the_parameters_tell_the_architecture(changes: dict[str, Any]) -> None:
    from maskrcnn.weights.detectron2_keys import convert_detectron2

    foreign = convert_detectron2(shapes(20, **changes), Path("model.pkl"), None)
    expected = DETECTRON2.replace(**changes)
    if "backbone_groups" in changes:  # the published ResNeXt has statistics and strides of its own
        expected = expected.replace(backbone_stride_in_1x1=False, preprocess={"std": [value / 255 for value in STD]})
    assert foreign.config == expected
    assert foreign.classes == 20
    with torch.device("meta"):
        own = MaskRCNN(foreign.config, ["x"] * 20).state_dict()
    assert {key: value.shape for key, value in foreign.state.items()} == {
        key: value.shape for key, value in own.items()
    }


def test_eighty_classes_are_cocos(tmp_path: Path) -> None:
    path = saved(shapes(80, **SMALL), tmp_path / "model.pth")
    checkpoint, notes = read_any_checkpoint(path)
    assert (checkpoint.names[0], checkpoint.names[11], checkpoint.names[-1]) == ("person", "stop sign", "toothbrush")
    assert "81 outputs: taken as COCO's categories" in notes
    assert read_any_checkpoint(saved(shapes(3, **SMALL), path))[0].names == ("class 1", "class 2", "class 3")
    with pytest.raises(MaskRCNNError, match=r"expected 3 class names, found 2 \(leave background out\)"):
        read_any_checkpoint(path, ["a", "b"])


RUN = {
    "MODEL": {
        "META_ARCHITECTURE": "GeneralizedRCNN",
        "MASK_ON": True,
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
        "PIXEL_MEAN": [123.675, 116.28, 103.53],
        "PIXEL_STD": [58.395, 57.12, 57.375],
        "RESNETS": {"DEPTH": 18, "STRIDE_IN_1X1": False},
        "FPN": {"OUT_CHANNELS": 8},
        "ANCHOR_GENERATOR": {
            "SIZES": [[16], [32], [64], [128], [256]],
            "ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
            "OFFSET": 0.5,
        },
        "RPN": {"NMS_THRESH": 0.6, "PRE_NMS_TOPK_TEST": 500, "POST_NMS_TOPK_TEST": 300},
        "ROI_HEADS": {"NAME": "StandardROIHeads", "NUM_CLASSES": 3, "SCORE_THRESH_TEST": 0.2, "NMS_THRESH_TEST": 0.4},
        "ROI_BOX_HEAD": {"POOLER_TYPE": "ROIAlign", "POOLER_SAMPLING_RATIO": 2, "FC_DIM": 16, "NUM_FC": 2},
        "ROI_MASK_HEAD": {"POOLER_TYPE": "ROIAlign", "POOLER_SAMPLING_RATIO": 2, "NUM_CONV": 2},
    },
    "INPUT": {"FORMAT": "RGB", "MIN_SIZE_TEST": 640, "MAX_SIZE_TEST": 1000},
    "TEST": {"DETECTIONS_PER_IMAGE": 300},
}


@pytest.mark.parametrize("beside", ["config.yaml", "model.yaml", "elsewhere"])
def test_a_yaml_is_followed(tmp_path: Path, beside: str) -> None:
    state = as_detectron2(small().state_dict(), bgr=False)
    path = saved(state, tmp_path / "model.pkl")
    (tmp_path / "elsewhere").mkdir()
    given = write_yaml(tmp_path / (beside if "." in beside else "elsewhere/run.yaml"), RUN)
    checkpoint, notes = read_any_checkpoint(path, None, None if "." in beside else given)
    assert checkpoint.config == DETECTRON2.replace(
        **SMALL,
        preprocess={
            "mean": [value / 255 for value in MEAN],
            "std": [value / 255 for value in STD],
            "short": [640, 640],
            "long": 1000,
        },
        backbone_stride_in_1x1=False,
        anchor_sizes=(16, 32, 64, 128, 256),
        anchor_offset=0.5,
        rpn_nms=0.6,
        rpn_before_nms=(2000, 500),
        proposals=(1000, 300),
        roi_aligned=False,
        roi_sampling=2,
        score_threshold=0.2,
        nms_threshold=0.4,
        max_detections=300,
    )
    assert torch.equal(checkpoint.state["backbone.conv1.weight"], small().backbone.conv1.weight)
    assert not any("BGR" in note or "no yaml" in note for note in notes)


def changed(path: str, value: Any) -> dict[str, Any]:
    """RUN with one key set."""
    content = yaml.safe_load(yaml.safe_dump(RUN))
    *parts, last = path.split(".")
    place = content
    for part in parts:
        place = place.setdefault(part, {})
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("MODEL.RESNETS.DEPTH", 50, "18"),
        ("MODEL.FPN.OUT_CHANNELS", 256, "8"),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 80, "3"),
        ("MODEL.ROI_BOX_HEAD.FC_DIM", 1024, "16"),
        ("MODEL.ROI_BOX_HEAD.NUM_FC", 1, "2"),
        ("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", 14, "7"),
        ("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True, "False"),
        ("MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK", True, "False"),
        ("MODEL.ROI_MASK_HEAD.NUM_CONV", 4, "2"),
    ],
)
def test_a_yaml_that_disagrees_with_the_weights(tmp_path: Path, path: str, value: Any, found: str) -> None:
    weights = saved(as_detectron2(small().state_dict()), tmp_path / "model.pkl")
    write_yaml(tmp_path / "config.yaml", changed(path, value))
    told = rf"model\.pkl: yaml and weights disagree: {re.escape(path)} is {value} in the yaml, {found} in the weights"
    with pytest.raises(MaskRCNNError, match=told):
        read_any_checkpoint(weights)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("MODEL.META_ARCHITECTURE", "PanopticFPN", "an unsupported architecture; expected 'GeneralizedRCNN'"),
        ("MODEL.MASK_ON", False, "MASK_ON is False, an unsupported architecture"),
        ("MODEL.ROI_HEADS.NAME", "CascadeROIHeads", "'CascadeROIHeads', an unsupported architecture"),
        ("MODEL.FPN.FUSE_TYPE", "avg", "FUSE_TYPE is 'avg', an unsupported architecture"),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIPool", "POOLER_TYPE is 'ROIPool', which is not supported"),
        (
            "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO",
            4,
            "one POOLER_SAMPLING_RATIO, found 2 for boxes, 4 for masks",
        ),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[32, 64]], r"SIZES is \[\[32, 64\]\], which is not supported"),
        ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", [[1.0]], "of 3 anchors a cell, the settings of 1"),
    ],
)
def test_a_yaml_that_asks_for_what_we_have_not(tmp_path: Path, path: str, value: Any, told: str) -> None:
    weights = saved(as_detectron2(small().state_dict()), tmp_path / "model.pkl")
    write_yaml(tmp_path / "config.yaml", changed(path, value))
    with pytest.raises(MaskRCNNError, match=told):
        read_any_checkpoint(weights)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("MODEL", 5),
        ("MODEL.PIXEL_MEAN", 1),
        ("MODEL.ROI_HEADS", [1]),
        ("INPUT.MIN_SIZE_TEST", "large"),
        ("MODEL.RPN.POST_NMS_TOPK_TEST", {}),
        ("MODEL.ANCHOR_GENERATOR.SIZES", 3),
        ("MODEL.RESNETS.STRIDE_IN_1X1", None),
        ("MODEL.PIXEL_MEAN", f"[{'-' * 100_000}1]"),
        ("TEST.DETECTIONS_PER_IMAGE", f"({'(' * 100_000}"),
    ],
)
def test_a_yaml_with_values_of_another_kind(tmp_path: Path, path: str, value: Any) -> None:
    """One error that names the file, or a checkpoint read as without the setting."""
    weights = saved(as_detectron2(small().state_dict()), tmp_path / "model.pkl")
    expected = read_any_checkpoint(weights)[0]
    write_yaml(tmp_path / "config.yaml", changed(path, value))
    try:
        found = read_any_checkpoint(weights)[0]
    except MaskRCNNError as error:
        assert str(weights) in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert found.state.keys() == expected.state.keys()


def test_images_as_they_are(tmp_path: Path) -> None:
    weights = saved(as_detectron2(small().state_dict()), tmp_path / "model.pkl")
    write_yaml(tmp_path / "config.yaml", changed("INPUT.MIN_SIZE_TEST", 0))
    preprocess = read_any_checkpoint(weights)[0].config.preprocess
    assert [resized_size(*shape, preprocess) for shape in ((33, 500), (3000, 4000))] == [(33, 500), (3000, 4000)]


def test_a_base_is_not_followed_and_said_so(tmp_path: Path) -> None:
    weights = saved(as_detectron2(small().state_dict()), tmp_path / "model.pkl")
    (tmp_path / "model.yaml").write_text(
        "_BASE_: ../Base-RCNN-FPN.yaml\nMODEL:\n  ANCHOR_GENERATOR:\n    SIZES: ((8,), (16,), (32,), (64,), (128,))\n"
        "DATASETS:\n  TRAIN: ('coco_2017_train',)\n"
    )
    checkpoint, notes = read_any_checkpoint(weights)
    assert checkpoint.config.anchor_sizes == (8, 16, 32, 64, 128)
    assert checkpoint.config.proposals == (1000, 1000)
    assert any("_BASE_ ../Base-RCNN-FPN.yaml is not followed" in note for note in notes)


def test_a_yaml_of_something_else_is_left_alone(tmp_path: Path) -> None:
    weights = saved(as_detectron2(small().state_dict()), tmp_path / "model.pkl")
    (tmp_path / "config.yaml").write_text("trainer: {epochs: 3}\n")
    assert read_any_checkpoint(weights)[0].config == small().config


@pytest.mark.parametrize("text", ["a: [1", "!!python/object/apply:os.system ['true']", "- 1"])
def test_a_broken_yaml_is_told(tmp_path: Path, text: str) -> None:
    weights = saved(as_detectron2(small().state_dict()), tmp_path / "model.pkl")
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(MaskRCNNError, match=r"config\.yaml: (not valid YAML|expected a yaml of settings)"):
        read_any_checkpoint(weights)


def test_buffers_in_the_file_are_read(tmp_path: Path) -> None:
    """Early versions saved pixel statistics and the anchors of a cell."""
    state = as_detectron2(small().state_dict(), bgr=False)
    state["pixel_mean"] = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    state["pixel_std"] = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    for level in range(5):
        half_w, half_h = (
            8 * 2**level / torch.tensor([1.0, 2.0, 4.0]).sqrt(),
            8 * 2**level * torch.tensor([1.0, 2.0, 4.0]).sqrt(),
        )
        anchors = torch.stack((-half_w, -half_h, half_w, half_h), 1)
        state[f"proposal_generator.anchor_generator.cell_anchors.{level}"] = anchors
    path = saved(state, tmp_path / "model.pkl")
    config = read_any_checkpoint(path)[0].config
    assert config.preprocess.mean == pytest.approx([value / 255 for value in MEAN])
    assert config.preprocess.std == pytest.approx([value / 255 for value in STD])
    assert config.anchor_sizes == pytest.approx((16, 32, 64, 128, 256))
    assert config.anchor_ratios == pytest.approx((1, 2, 4))
    assert not load_model(path)[1].unused
    write_yaml(tmp_path / "config.yaml", {"MODEL": {"PIXEL_MEAN": [103.53, 116.28, 123.675]}})
    told = r"MODEL\.PIXEL_MEAN is \[103\.53, 116\.28, 123\.675\] in the yaml, \[123\.675, 116\.28, 103\.53\] in the w"
    with pytest.raises(MaskRCNNError, match=told):
        read_any_checkpoint(path)


Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def swapped(old: str, new: str) -> Change:
    return lambda state: {re.sub(old, new, key): value for key, value in state.items()}


def added(*names: str) -> Change:
    return lambda state: {**state, **{name: torch.zeros(2) for name in names}}


def without(pattern: str) -> Change:
    return lambda state: {key: value for key, value in state.items() if not re.search(pattern, key)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (swapped("box_predictor", "box_predictor.0"), "Cascade R-CNN"),
        (added("roi_heads.mask_head.point_head.fc1.weight"), "PointRend"),
        (added("roi_heads.mask_coarse_head.conv.weight"), "PointRend"),
        (added("roi_heads.keypoint_head.conv_fcn1.weight"), "Keypoint R-CNN"),
        (
            lambda state: {"head.cls_subnet.0.weight": torch.zeros(2), "backbone.bottom_up.x": torch.zeros(1)},
            "RetinaNet",
        ),
        (added("sem_seg_head.p2.0.weight"), "Panoptic FPN"),
        (without(r"roi_heads\.mask_head"), "Faster R-CNN, without a mask head"),
        (added("backbone.bottom_up.res5.0.conv2_offset.weight"), "deformable convolutions"),
        (swapped(r"bottom_up\.res2", "bottom_up.patch_embed."), "a transformer"),
        (lambda state: {**without(r"fpn_|mask_head")(state), "roi_heads.res5.0.conv1.weight": torch.zeros(1)}, "C4"),
        (without("running_"), "group or layer normalisation"),
    ],
)
def test_what_we_lack_is_named(tmp_path: Path, change: Change, named: str) -> None:
    path = saved(change(shapes(3, **SMALL)), tmp_path / "model.pth")
    with pytest.raises(MaskRCNNError, match=rf"model\.pth: expected a Mask R-CNN.*found .*{named}.*is not supported"):
        read_any_checkpoint(path)


def test_a_missing_parameter_is_named(tmp_path: Path) -> None:
    state = without(r"cls_score\.bias")(shapes(3, **SMALL))
    with pytest.raises(MaskRCNNError, match=r"no parameter for 'box_head\.logits\.bias'"):
        read_any_checkpoint(saved(state, tmp_path / "model.pth"))
    state = without(r"fpn_lateral3\.bias")(as_detectron2(small().state_dict()))
    with pytest.raises(MaskRCNNError, match=r"missing or of another shape: fpn\.lateral\.1\.0\.bias"):
        load_model(saved(state, tmp_path / "model.pth"))


def test_the_first_detectrons_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"blobs": {}, "cfg": "text"}))
    with pytest.raises(MaskRCNNError, match="first Detectron"):
        read_any_checkpoint(tmp_path / "model.pkl")


def test_a_model_of_theirs_trains_with_its_own_losses(tmp_path: Path) -> None:
    """L1 unless its yaml says otherwise, box head and proposals apart."""
    path = saved(shapes(3, **SMALL), tmp_path / "model.pth")
    config = read_any_checkpoint(path)[0].config
    assert (config.rpn_beta, config.box_beta) == (0.0, 0.0)
    betas = {"MODEL": {"RPN": {"SMOOTH_L1_BETA": 0.25}, "ROI_BOX_HEAD": {"SMOOTH_L1_BETA": 1}}}
    config = read_any_checkpoint(path, config=write_yaml(tmp_path / "run.yaml", betas))[0].config
    assert (config.rpn_beta, config.box_beta) == (0.25, 1.0)


def test_what_a_yaml_says_and_is_not_followed_is_named_in_one_line(tmp_path: Path) -> None:
    path = saved(shapes(3, **SMALL), tmp_path / "model.pth")
    content = changed("MODEL.RPN.BBOX_REG_LOSS_TYPE", "giou")
    content["MODEL"]["ROI_HEADS"]["SCORE_TRESH_TEST"] = 0.5
    content["MODEL"]["FCOS"] = {"TOP": 3}
    content["MODEL"]["RPN"] |= {"LOSS_WEIGHT": 1.0, "IN_FEATURES": ["p2"]}
    content |= {"SOLVER": {"BASE_LR": 0.02}, "max_detections": 7, "_BASE_": "http://localhost:1/Base.yaml"}
    notes = read_any_checkpoint(path, config=write_yaml(tmp_path / "run.yaml", content))[1]
    (line,) = [note for note in notes if "yaml: not followed:" in note]
    assert line == (
        "yaml: not followed: MODEL.FCOS.TOP, MODEL.ROI_HEADS.SCORE_TRESH_TEST, MODEL.RPN.BBOX_REG_LOSS_TYPE 'giou', "
        "max_detections"
    )
    assert any("_BASE_ http://localhost:1/Base.yaml is not followed" in note for note in notes)
    notes = read_any_checkpoint(path, config=write_yaml(tmp_path / "run.yaml", RUN))[1]
    assert not any("yaml: not followed:" in note for note in notes)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("INPUT.MIN_SIZE_TEST", float("inf")),
        ("INPUT.MIN_SIZE_TEST", 10**9),
        ("INPUT.MAX_SIZE_TEST", -1),
        ("MODEL.RPN.NMS_THRESH", float("nan")),
        ("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 10**12),
        ("MODEL.RPN.PRE_NMS_TOPK_TEST", 10**9),
        ("MODEL.RPN.IOU_THRESHOLDS", [0.7, 0.3]),
        ("MODEL.ANCHOR_GENERATOR.SIZES", [[0]] * 5),
        ("MODEL.ANCHOR_GENERATOR.SIZES", "(" * 5000),
        ("MODEL.ROI_HEADS.IOU_THRESHOLDS", [0]),
        ("MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", [0, 0, 0, 0]),
        ("MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", 10**9),
        ("MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", -1),
        ("MODEL.PIXEL_STD", [0, 0, 0]),
        ("TEST.DETECTIONS_PER_IMAGE", 10**9),
        ("TEST.DETECTIONS_PER_IMAGE", 0),
    ],
)
def test_values_that_no_model_has(tmp_path: Path, path: str, value: Any) -> None:
    weights = saved(shapes(3, **SMALL), tmp_path / "model.pth")
    with pytest.raises(MaskRCNNError) as caught:
        read_any_checkpoint(weights, config=write_yaml(tmp_path / "run.yaml", changed(path, value)))
    assert len(str(caught.value)) < 600
