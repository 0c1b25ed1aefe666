"""Matching against torchvision's Matcher; sampling by its contract."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import Matcher

from maskrcnn.model import matcher
from maskrcnn.model.matcher import Match, match, sample

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
    found = match(boxes, objects, valid, NO_CROWD)
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
    whole = match(*scene, NO_CROWD)
    with mock.patch.dict(matcher.PAIR_BUDGET, {"cpu": budget}):
        parts = match(*scene, NO_CROWD)
    for name, one, other in zip(Match._fields, whole, parts, strict=True):
        assert torch.equal(one, other), name


def test_each_image_may_have_its_own_boxes() -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 2, 4]], [[8, 8, 9, 9], [0, 0, 4, 4]]])
    objects = torch.tensor([[[0.0, 0, 4, 4]]] * 2)
    found = match(boxes, objects, torch.ones(2, 1, dtype=torch.bool), NO_CROWD)
    assert found.overlap.tolist() == [[1, 0.5], [0, 1]]
    assert found.is_best.tolist() == [[True, False], [False, True]]


def test_the_share_a_crowd_region_covers() -> None:
    boxes = torch.tensor([[[0.0, 0, 4, 4], [10, 10, 12, 12]]])
    crowd = torch.tensor([[[0.0, 0, 3, 4], [0, 0, 1, 4]], [[11, 10, 99, 99], [0, 0, 0, 0]]])
    found = match(boxes, torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool), crowd)
    assert found.crowd.tolist() == [[0.75, 0], [0, 0.5]]
    assert not found.is_best.any()


@st.composite
def candidates(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Positive and negative [2, N], never both."""
    count = draw(st.integers(0, 25))
    kind = torch.tensor(draw(st.lists(st.integers(0, 2), min_size=2 * count, max_size=2 * count))).reshape(2, count)
    return kind == 1, kind == 2


@settings(max_examples=40, deadline=None)
@given(candidates(), st.integers(1, 30), st.sampled_from([0.25, 0.5, 1.0]))
def test_a_minibatch_keeps_its_promises(masks: tuple[Tensor, Tensor], count: int, share: float) -> None:
    positive, negative = masks
    index, valid = sample(positive, negative, count, share, torch.arange(len(positive)))
    assert index.shape == valid.shape == (2, min(count, positive.shape[1]))
    for image in range(2):
        chosen = index[image][valid[image]]
        is_positive = positive[image][chosen]
        wanted = min(int(positive[image].sum()), int(count * share))
        assert len(set(chosen.tolist())) == len(chosen)
        assert (positive | negative)[image][chosen].all()
        assert is_positive.tolist() == [True] * wanted + [False] * (len(chosen) - wanted)
        assert len(chosen) == min(wanted + int(negative[image].sum()), count)


def test_no_candidate_at_all() -> None:
    nobody = torch.zeros(3, 10, dtype=torch.bool)
    index, valid = sample(nobody, nobody, 4, 0.5, torch.arange(3))
    assert index.shape == (3, 4)
    assert not valid.any()
    assert ((index >= 0) & (index < 10)).all()


def test_the_seed_decides() -> None:
    positive = torch.zeros(1, 50, dtype=torch.bool)
    positive[:, ::2] = True
    draws = [sample(positive, ~positive, 8, 0.5, torch.tensor([seed]))[0] for seed in (7, 7, 8)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_every_candidate_is_drawn_alike(kind: str) -> None:
    everyone, nobody = torch.ones(4000, 5, dtype=torch.bool), torch.zeros(4000, 5, dtype=torch.bool)
    masks = (everyone, nobody) if kind == "positive" else (nobody, everyone)
    index, valid = sample(*masks, 2, 1.0, torch.arange(4000))
    assert valid.all()
    share = index.flatten().bincount(minlength=5) / 4000
    torch.testing.assert_close(share, torch.full((5,), 0.4), atol=0.04, rtol=0)
