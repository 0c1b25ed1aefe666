"""Whatever a file, a recipe or a caller asks of a model: a model that fits into memory, or one error that names it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.config import PRESETS, Config, Preprocess, from_dict, preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.setting_limits import (
    MAX_PARAMETERS,
    MAX_TENSOR,
    RANGES,
    RESNET_DEPTHS,
    largest_tensor,
    parameter_count,
)
from tests.outcomes import Outcomes

HUGE = 10**9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fpn_channels", 0),
        ("fpn_channels", -1),
        ("fpn_channels", HUGE),
        ("fpn_extra_levels", -1),
        ("fpn_extra_levels", HUGE),
        ("backbone_groups", 0),
        ("backbone_group_width", HUGE),
        ("norm_eps", -1e-5),
        ("norm_eps", math.nan),
        ("anchor_sizes", []),
        ("anchor_sizes", [0, 1, 2, 3, 4]),
        ("anchor_sizes", [32, 64, 128, 256, math.inf]),
        ("anchor_sizes", [32] * HUGE.bit_length() ** 2),
        ("anchor_ratios", []),
        ("anchor_ratios", [-1.0]),
        ("anchor_ratios", [math.nan]),
        ("anchor_offset", 1e30),
        ("rpn_convs", HUGE),
        ("rpn_samples", 0),
        ("rpn_samples", HUGE),
        ("rpn_positive_share", 1.5),
        ("rpn_iou", [0.7, 0.3]),
        ("rpn_iou", [-0.1, 0.5]),
        ("rpn_nms", 2),
        ("rpn_nms", math.nan),
        ("rpn_before_nms", [0, 1]),
        ("rpn_before_nms", [HUGE, HUGE]),
        ("proposals", [1000, 0]),
        ("proposals", [HUGE, HUGE]),
        ("roi_sampling", -1),
        ("roi_sampling", HUGE),
        ("roi_samples", 0),
        ("roi_iou", 0),
        ("roi_iou", 1e-300),
        ("box_bins", 0),
        ("box_bins", HUGE),
        ("box_hidden", [0]),
        ("box_hidden", [HUGE]),
        ("box_convs", [256] * 1000),
        ("box_weights", [0, 0, 0, 0]),
        ("box_weights", [math.inf] * 4),
        ("mask_bins", -14),
        ("mask_bins", HUGE),
        ("mask_convs", [HUGE]),
        ("mask_sampling", HUGE),
        ("score_threshold", -0.5),
        ("score_threshold", 1.5),
        ("score_threshold", 10**400),
        ("nms_threshold", math.inf),
        ("max_detections", 0),
        ("max_detections", HUGE),
        ("backbone", "resnet50" * 10_000),
        ("preset", "x" * 10_000_000),
        ("preprocess", {"short": [0, 0]}),
        ("preprocess", {"short": [800, 600]}),
        ("preprocess", {"short": [HUGE, HUGE]}),
        ("preprocess", {"short": [5000, 5000]}),
        ("preprocess", {"long": 0}),
        ("preprocess", {"long": HUGE}),
        ("preprocess", {"divisor": 0}),
        ("preprocess", {"divisor": HUGE}),
        ("preprocess", {"depth": HUGE}),
        ("preprocess", {"mean": [math.nan] * 3}),
        ("preprocess", {"std": [math.inf] * 3}),
        ("preprocess", {"std": [1e-300] * 3}),
        ("preprocess", {"mean": [0.5] * 5000, "std": [0.5] * 5000}),
    ],
)
def test_a_value_out_of_its_range_is_one_short_error_that_names_it(name: str, value: Any) -> None:
    for make in (lambda: from_dict({name: value}), lambda: PRESETS["lite"].replace(**{name: value})):
        with pytest.raises(MaskRCNNError, match=name) as caught:
            make()
        assert len(str(caught.value)) < 400


def test_no_record_is_made_past_the_checks() -> None:
    with pytest.raises(MaskRCNNError, match="fpn_channels: expected int, found '8'"):
        Config(fpn_channels="8")  # type: ignore[arg-type]
    with pytest.raises(MaskRCNNError, match="max_detections"):
        dataclasses.replace(Config(), max_detections=-1)
    with pytest.raises(MaskRCNNError, match=r"preprocess\.divisor"):
        Preprocess(divisor=0)
    assert Config(anchor_sizes=[8, 16, 32, 64, 128]).anchor_sizes == (8.0, 16.0, 32.0, 64.0, 128.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fpn_channels": 60_000}, "fpn_channels"),
        ({"box_hidden": [60_000, 60_000]}, "box_hidden"),
        ({"mask_convs": [8000] * 32}, "mask_convs"),
        ({"backbone_groups": 1024, "backbone_group_width": 4096}, "backbone_group_width"),
        ({"proposals": [100_000, 100_000], "box_bins": 64}, "proposals"),
        ({"max_detections": 100_000, "mask_bins": 128}, "max_detections"),
        ({"preprocess": {"short": [4096, 4096], "long": 1_000_000}}, "preprocess.short"),
    ],
)
def test_what_fits_one_by_one_and_not_together(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(MaskRCNNError, match=rf"GiB.*{told}|{told}.*GiB"):
        preset("resnet50_fpn").replace(**changes)


@pytest.mark.parametrize("backbone", RESNET_DEPTHS)
@pytest.mark.parametrize(
    ("changes", "classes"),
    [
        ({}, 1),
        ({"backbone_norm": "batch", "fpn_norm": "batch", "head_norm": "batch", "box_convs": [12, 8]}, 7),
        ({"backbone_groups": 32, "backbone_group_width": 4, "fpn_extra": "conv", "fpn_extra_levels": 1}, 80),
        ({"box_class_agnostic": True, "mask_class_agnostic": True, "box_hidden": [], "mask_convs": []}, 5),
        ({"rpn_convs": 2, "anchor_ratios": [1, 2], "preprocess": {"mean": [0.5] * 5, "std": [0.5] * 5}}, 3),
    ],
)
def test_the_count_is_the_networks(backbone: str, changes: dict[str, Any], classes: int) -> None:
    config = Config(backbone=backbone).replace(**changes)
    with torch.device("meta"):
        state = MaskRCNN(config, ["x"] * classes).state_dict()
    assert parameter_count(config, classes) == sum(value.numel() for value in state.values())


def test_the_presets_keep_far_from_the_limits() -> None:
    for config in PRESETS.values():
        assert parameter_count(config, 80) < MAX_PARAMETERS / 20
        assert largest_tensor(config)[1] < MAX_TENSOR / 20


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
number = st.one_of(st.integers(-2, 64), st.integers(1, 4000), st.floats(0, 1), st.floats())
plausible = st.one_of(number, st.lists(number, min_size=2, max_size=5), st.sampled_from(["batch", "resnet18", "conv"]))
record = st.dictionaries(
    st.sampled_from([field.name for field in dataclasses.fields(Config)]),
    st.one_of(anything, plausible),
    max_size=4,
)
taken = st.dictionaries(
    st.sampled_from([field.name for field in dataclasses.fields(Preprocess)]),
    st.one_of(anything, plausible),
    max_size=3,
)


def test_some_records_are_taken_and_some_are_not() -> None:
    outcomes = Outcomes()

    @settings(max_examples=200, deadline=None)
    @given(record, taken)
    def case(data: dict[str, Any], preprocess: dict[str, Any]) -> None:
        outcomes.attempt(from_dict, {**data, "preprocess": preprocess})

    case()
    outcomes.check_both()


@settings(max_examples=400, deadline=None)
@given(record, taken)
def test_any_record_is_refused_or_its_model_fits(data: dict[str, Any], preprocess: dict[str, Any]) -> None:
    try:
        config = from_dict({**data, "preprocess": preprocess})
    except MaskRCNNError:
        return
    for name, limits in RANGES.items():
        value = getattr(config.preprocess if "." in name else config, name.removeprefix("preprocess."))
        assert all(limits.low <= number <= limits.high for number in (value if isinstance(value, tuple) else [value]))
    assert parameter_count(config) <= MAX_PARAMETERS
    assert largest_tensor(config)[1] <= MAX_TENSOR
    if config.backbone in RESNET_DEPTHS and len(config.anchor_sizes) == 4 + config.fpn_extra_levels:
        with torch.device("meta"):
            assert MaskRCNN(config, ["cat"]).state_dict()


def test_a_network_is_refused_before_it_is_made_if_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    class MadeError(Exception):
        pass

    def build(config: Config) -> None:
        raise MadeError

    monkeypatch.setattr("maskrcnn.model.mask_rcnn.build_backbone", build)
    small, large = Config(backbone="resnet18"), Config(box_hidden=[20_000, 20_000])
    need = 4 * parameter_count(large, 2)
    for config, free, error in ((large, need - 1, MaskRCNNError), (large, need, MadeError), (small, 0, MadeError)):
        monkeypatch.setattr("maskrcnn.ops.memory.available_memory", lambda free=free: free)
        with pytest.raises(error, match=r"of memory are free|^$"):
            MaskRCNN(config, ["cat", "dog"])


def test_classes_count_too() -> None:
    with torch.device("meta"), pytest.raises(MaskRCNNError, match="1,000,000 classes"):
        MaskRCNN(Config(), range(1_000_000))  # type: ignore[arg-type]
