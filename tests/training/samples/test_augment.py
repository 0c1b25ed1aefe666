"""What is drawn for an image: how often, between which limits, and that small objects are not lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.config import Preprocess
from maskrcnn.masks import Crop
from maskrcnn.training.samples.augment import Augmentation, AugmentationPlan
from maskrcnn.training.samples.instances import Instances, make_instances
from maskrcnn.training.samples.sample import Sample, SampleInputs, make_samples

# Images of up to 1000 pixels are taken as they are.
PLAIN = Preprocess(short=(1, 1000), long=1000)
NOBODY = np.zeros((0, 4))


def plan(
    augmentation: Augmentation, seed: int, boxes: np.ndarray = NOBODY, canvas: int | None = 128
) -> AugmentationPlan:
    return augmentation.plan((200, 300), boxes, PLAIN, canvas, np.random.default_rng(seed))


def taken(plan: AugmentationPlan, image: np.ndarray, shapes: Instances) -> Sample:
    return plan.turned(make_samples([SampleInputs(image, shapes, plan.view(image), plan.change)])[0])


@pytest.mark.parametrize(("flip", "turns", "count"), [(False, False, 1), (True, False, 2), (False, True, 8)])
def test_which_arrangements_happen(flip: bool, turns: bool, count: int) -> None:
    augmentation = Augmentation(flip, turns, (1.0, 1.0), colour=0)
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    nothing, _ = make_instances([], (4, 4), "nothing")
    seen = set()
    for seed in range(100):
        drawn = augmentation.plan((4, 4), NOBODY, PLAIN, 4, np.random.default_rng(seed))
        seen.add(taken(drawn, image, nothing).image.tobytes())
    assert len(seen) == count


def test_large_scale_jitter_is_even_between_its_limits() -> None:
    zooms = np.array([plan(Augmentation(scale=(0.1, 2.0)), seed).zoom for seed in range(400)])
    assert 0.1 <= zooms.min() < 0.13
    assert 1.97 < zooms.max() <= 2.0
    assert abs(np.mean(zooms < 1.05) - 0.5) < 0.08


def test_the_models_resizing_is_the_scale_of_one() -> None:
    augmentation = Augmentation(scale=(1.0, 1.0))
    drawn = augmentation.plan(
        (200, 300), NOBODY, Preprocess(short=(400, 400), long=500), None, np.random.default_rng(0)
    )
    assert drawn.zoom == pytest.approx(500 / 300)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 9999), st.floats(0.1, 2), st.sampled_from([None, 64, 128, 512]), st.integers(0, 5), st.floats(0, 1)
)
def test_a_window_lies_in_the_image(seed: int, zoom: float, canvas: int | None, objects: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, [300, 200], (objects, 2, 2))
    boxes = np.concatenate((corners.min(1), corners.max(1)), axis=1)
    drawn = plan(Augmentation(scale=(zoom, zoom), object_crops=share), seed, boxes, canvas)
    spare = np.zeros(2) if canvas is None else np.maximum(np.array([300, 200]) - canvas / zoom, 0)
    assert (np.array(drawn.corner) >= 0).all()
    assert (np.array(drawn.corner) <= spare + 1e-9).all()


def test_windows_around_objects_show_one_whole() -> None:
    """And the small one of two several times as often as chance would."""
    boxes = np.array([[280.0, 10, 286, 16], [20, 60, 120, 180]])
    whole = {share: np.zeros(2) for share in (0.0, 1.0)}
    for share, counts in whole.items():
        for seed in range(300):
            x, y = plan(Augmentation(scale=(1.0, 1.0), object_crops=share), seed, boxes).corner
            shown = (boxes >= [x, y, x, y]).all(axis=1) & (boxes <= np.array([x, y, x, y]) + 128).all(axis=1)
            counts += shown
            assert share == 0 or shown.any()
    assert whole[1.0][0] > 200
    assert whole[1.0][0] > 4 * whole[0.0][0]
    assert whole[1.0][1] > 30


def test_an_object_larger_than_the_window_fills_it() -> None:
    box = np.array([[50.0, 10, 290, 195]])
    for seed in range(50):
        x, y = plan(Augmentation(scale=(1.0, 1.0), object_crops=1.0), seed, box).corner
        assert 50 - 1e-6 <= x <= 290 - 128 + 1e-6
        assert 10 - 1e-6 <= y <= 195 - 128 + 1e-6


def test_a_window_in_the_middle_of_the_range_is_anywhere() -> None:
    xs = np.array([plan(Augmentation(scale=(1.0, 1.0)), seed).corner[0] for seed in range(300)])
    assert xs.min() < 10
    assert xs.max() > 162
    assert abs(xs.mean() - 86) < 12


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.booleans(), st.sampled_from([None, 96, 160]))
def test_a_plan_can_be_carried_out(seed: int, turns: bool, canvas: int | None) -> None:
    """A disc is where it should be, on the canvas or on the whole image, however the image was read."""
    rows, columns = np.ogrid[:200, :300]
    disc = ((columns - 150) ** 2 + (rows - 90) ** 2) <= 60**2
    image = np.repeat(disc[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255)
    shapes, _ = make_instances([Annotation(1, 0, False, None, None, Crop(disc, 0, 0))], (200, 300), "disc")
    drawn = plan(Augmentation(turns=turns, scale=(0.2, 2.0), colour=0), seed, shapes.boxes, canvas)
    small = image[:: drawn.shrink, :: drawn.shrink] if seed % 2 else image
    sample = taken(drawn, small, shapes)
    assert canvas is None or max(sample.image.shape[:2]) <= canvas
    shown = sample.image[..., 0] > 127
    for box in (*sample.boxes, *sample.crowd):
        x1, y1, x2, y2 = np.concatenate((np.floor(box[:2]), np.ceil(box[2:]))).astype(int)
        assert shown[y1:y2, x1:x2].sum() >= 0.98 * shown.sum() - 3 * drawn.zoom * drawn.shrink
    again = plan(Augmentation(turns=turns, scale=(0.2, 2.0), colour=0), seed, shapes.boxes, canvas)
    assert np.array_equal(taken(again, small, shapes).image, sample.image)
