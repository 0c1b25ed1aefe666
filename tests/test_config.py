"""The record survives JSON, and what it does not understand is told."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.config import PRESETS, Config, Preprocess, from_dict, preset, to_dict
from maskrcnn.errors import MaskRCNNError

positive = st.integers(1, 4000)
changes = st.fixed_dictionaries(
    {},
    optional={
        "anchor_sizes": st.lists(st.floats(1, 500), min_size=1, max_size=6).map(tuple),
        "roi_aligned": st.booleans(),
        "fpn_channels": positive,
        "rpn_nms": st.floats(0, 1),
        "proposals": st.tuples(positive, positive),
        "mask_convs": st.lists(positive, max_size=4).map(tuple),
        "preprocess": st.builds(
            Preprocess, short=st.tuples(positive, positive).map(sorted), long=positive, antialias=st.booleans()
        ),
    },
)


@settings(max_examples=40, deadline=None)
@given(changes, st.sampled_from(sorted(PRESETS)))
def test_it_comes_back_from_json_the_same(changes: dict[str, Any], name: str) -> None:
    config = dataclasses.replace(PRESETS[name], **changes)
    back = from_dict(json.loads(json.dumps(to_dict(config))))
    assert back == config
    assert hash(back) == hash(config)


def test_what_is_left_out_is_the_defaults() -> None:
    assert from_dict({"fpn_channels": 8}) == dataclasses.replace(Config(), fpn_channels=8)
    lite = PRESETS["lite"].replace(preprocess={"long": 500})
    assert lite.preprocess == dataclasses.replace(PRESETS["lite"].preprocess, long=500)
    assert lite.backbone == "timm:efficientnet_lite0"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"fpn_chanels": 8}, r"'fpn_chanels' \(did you mean 'fpn_channels'\?\)"),
        ({"preprocess": {"shrt": [1, 2]}}, r"preprocess\.'shrt' \(did you mean 'short'\?\)"),
        ({"zzz": 1}, r"'zzz' \(known: .*anchor_sizes"),
        ({"fpn_channels": "8"}, r"fpn_channels: expected int, found '8'"),
        ({"fpn_channels": 8.5}, r"fpn_channels: expected int, found 8\.5"),
        ({"fpn_channels": True}, r"fpn_channels: expected int, found True"),
        ({"rpn_nms": True}, r"rpn_nms: expected a number, found True"),
        ({"roi_aligned": 1}, r"roi_aligned: expected bool, found 1"),
        ({"anchor_sizes": 32}, r"anchor_sizes: expected tuple\[float, \.\.\.\], found 32"),
        ({"backbone": None}, r"backbone: expected str, found None"),
        ({"preprocess": 800}, r"preprocess: expected Preprocess, found 800"),
        ({"preprocess": {"long": "x"}}, r"preprocess\.long: expected int, found 'x'"),
    ],
)
def test_what_does_not_fit_is_told(data: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskRCNNError, match=message):
        from_dict(data)
    with pytest.raises(MaskRCNNError, match=message):
        PRESETS["lite"].replace(**data)


@pytest.mark.parametrize("name", ["backbone_norm", "fpn_norm", "fpn_extra", "box_loss", "head_norm"])
def test_a_word_outside_the_choices_is_told(name: str) -> None:
    with pytest.raises(MaskRCNNError):
        Config().replace(**{name: "btach"})


@pytest.mark.parametrize("data", [{"anchor_sizes": ["a"]}, {"rpn_iou": [0.3]}, {"box_weights": 4 * [None]}])
def test_the_parts_of_a_tuple_are_checked(data: dict[str, Any]) -> None:
    with pytest.raises(MaskRCNNError):
        from_dict(data)


def test_files_from_before_beta_was_a_setting() -> None:
    old = to_dict(Config())
    del old["box_beta"], old["rpn_beta"]
    for word, beta in (("smooth_l1", 1 / 9), ("l1", 0.0)):
        config = from_dict({**old, "box_loss": word})
        assert (config.box_beta, config.rpn_beta) == (beta, 1 / 9)
    assert from_dict(old) == Config()


def test_a_whole_number_may_stand_for_a_float() -> None:
    config = from_dict({"rpn_nms": 1})
    assert config.rpn_nms == 1.0
    assert isinstance(config.rpn_nms, float)


def test_presets_by_name() -> None:
    assert {preset(name).preset for name in PRESETS} == set(PRESETS)
    with pytest.raises(MaskRCNNError, match=r"'resnet50_fpn_v3' \(did you mean 'resnet50_fpn_v2'\?\)"):
        preset("resnet50_fpn_v3")
    with pytest.raises(MaskRCNNError, match=r"known: .*lite"):
        preset("zzz")


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().fpn_channels = 3  # type: ignore[misc]


def test_how_images_are_taken_travels_with_the_config() -> None:
    changes = {"mean": (0.1,) * 12, "std": (0.2,) * 12, "depth": 16}
    config = preset("lite").replace(preprocess=changes)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    taken = config.preprocess
    assert (taken.channels, taken.full_scale, taken.rgb) == (12, 65535, False)
    plain = preset("lite").preprocess
    assert (plain.channels, plain.full_scale, plain.rgb) == (3, 255, True)
    assert not preset("lite").replace(preprocess={"depth": 16}).preprocess.rgb


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mean": (0.5,) * 4}, "a mean and a positive std for each channel"),
        ({"mean": (), "std": ()}, "a mean and a positive std"),
        ({"std": (0.1, 0.0, 0.1)}, "a mean and a positive std"),
        ({"depth": 12}, "expected 8 or 16 bits, found 12"),
    ],
)
def test_channels_that_do_not_fit_together(changes: dict, told: str) -> None:
    with pytest.raises(MaskRCNNError, match=told):
        preset("lite").replace(preprocess=changes)
