"""Matching against torchvision's Matcher."""

from __future__ import annotations

from unittest import mock

import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import Matcher

from maskrcnn.model import matcher
from maskrcnn.model.matcher import Match, match_boxes

# A coarse grid makes equal overlaps common, between boxes and between objects.
grid, side = st.integers(0, 12), st.integers(1, 8)
box = st.tuples(grid, grid, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes [1, N, 4], objects [2, G, 4] and their validity; what is invalid holds a box too."""
    boxes = draw(st.lists(box, min_size=1, max_size=20))
    count = draw(st.integers(0, 6))
    objects = draw(st.lists(st.tuples(box, st.booleans()), min_size=2 * count, max_size=2 * count))
    places = torch.tensor([o for o, _ in objects], dtype=torch.float32).reshape(2, count, 4)
    return torch.tensor([boxes]).float(), places, torch.tensor([v for _, v in objects]).bool().reshape(2, count)


NO_CROWD = torch.zeros(2, 0, 4)


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_it_is_torchvisions_matcher_on_the_valid_objects(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    boxes, objects, valid = scene
    found = match_boxes(boxes, objects, valid, NO_CROWD)
    for image in range(2):
        places = valid[image].nonzero().flatten()
        overlaps = torchvision.ops.box_iou(objects[image, places], boxes[0])
        # For an object that nothing overlaps, torchvision calls every box its best.
        places = places[overlaps.amax(1) > 0]
        overlaps = overlaps[overlaps.amax(1) > 0]
        positive = (found.overlap[image] >= 0.7) | found.is_best[image]
        if not len(places):
            assert not positive.any()
            assert found.overlap[image].tolist() == [0.0] * boxes.shape[1]
            continue
        expected = Matcher(0.7, 0.3, allow_low_quality_matches=True)(overlaps)
        assert torch.equal(positive, expected >= 0)
        assert torch.equal(found.matched[image][positive], places[expected[positive]])
        assert torch.equal(~positive & (found.overlap[image] < 0.3), expected == Matcher.BELOW_LOW_THRESHOLD)
        assert torch.equal(found.overlap[image], overlaps.amax(0))


@settings(max_examples=40, deadline=None)
@given(scenes(), st.sampled_from([1, 40, 100]))
def test_memory_in_parts_changes_nothing(scene: tuple[Tensor, Tensor, Tensor], budget: int) -> None:
    whole = match_boxes(*scene, NO_CROWD)
    with mock.patch.dict(matcher.PAIR_BUDGET, {"cpu": budget}):
        parts = match_boxes(*scene, NO_CROWD)
    for name, one, other in zip(Match._fields, whole, parts, strict=True):
        assert torch.equal(one, other), name


def test_each_image_may_have_its_own_boxes() -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 2, 4]], [[8, 8, 9, 9], [0, 0, 4, 4]]])
    objects = torch.tensor([[[0.0, 0, 4, 4]]] * 2)
    found = match_boxes(boxes, objects, torch.ones(2, 1, dtype=torch.bool), NO_CROWD)
    assert found.overlap.tolist() == [[1, 0.5], [0, 1]]
    assert found.is_best.tolist() == [[True, False], [False, True]]


def test_the_share_a_crowd_region_covers() -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4], [10, 10, 12, 12]]])
    crowd = torch.tensor([[[0.0, 0, 3, 4], [0, 0, 1, 4]], [[11, 10, 99, 99], [0, 0, 0, 0]]])
    found = match_boxes(boxes, torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool), crowd)
    assert found.crowd.tolist() == [[0.75, 0], [0, 0.5]]
    assert not found.is_best.any()
