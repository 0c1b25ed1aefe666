"""Masks move with the picture.

Each object is painted into a colour channel of its own image, so that the picture itself, flipped, turned, resized and
cut by NumPy and Pillow, shows where the mask has to be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.data.augment import Augmentation, Sample, change_colour, mirror, quarter_turn, scale_and_crop
from maskrcnn.data.dataset import Objects
from maskrcnn.masks.crop import crop_of

Shape = tuple[float, float, float, float]


def lopsided(size: tuple[int, int], shape: Shape) -> np.ndarray:
    """bool [H, W]: an ellipse (x, y, w, h), its lower right quarter filled, its upper left cut off."""
    x, y, w, h = shape
    rows, columns = np.ogrid[: size[0], : size[1]]
    u, v = (columns + 0.5 - x) / w * 2 - 1, (rows + 0.5 - y) / h * 2 - 1
    inside = (u**2 + v**2 <= 1) | ((u > 0) & (v > 0) & (u <= 1) & (v <= 1))
    return inside & (u + v > -0.8)


def painted(size: tuple[int, int], shapes: list[Shape], crowd: tuple[int, ...] = ()) -> Sample:
    """Object k is channel k of the image, and its label is k."""
    dense = [lopsided(size, shape) for shape in shapes]
    image = np.stack([*dense, *[np.zeros(size, bool)] * (3 - len(dense))], axis=-1).astype(np.uint8) * 255
    crops = [crop_of(mask) for mask in dense]
    boxes = np.array([crop.box for crop in crops], np.float32).reshape(-1, 4)
    numbers = np.arange(len(shapes))
    return Sample.of(image, Objects(boxes, numbers, np.isin(numbers, crowd), crops, numbers + 1))


def pasted(sample: Sample, place: int) -> np.ndarray:
    """bool [H, W]: the patch drawn in its frame, a pixel by the cells under 5 x 5 points in it."""
    x1, y1, x2, y2 = sample.frames[place].astype(float)
    patch = sample.patches[place]
    height, width = sample.image.shape[:2]
    points_y, points_x = (np.arange(5 * side) / 5 + 0.1 for side in (height, width))
    row = np.floor((points_y - y1) / (y2 - y1) * patch.shape[0]).astype(int)
    column = np.floor((points_x - x1) / (x2 - x1) * patch.shape[1]).astype(int)
    padded = np.pad(patch > 127, 1)
    drawn = padded[np.clip(row + 1, 0, len(padded) - 1)][:, np.clip(column + 1, 0, padded.shape[1] - 1)]
    return drawn.reshape(height, 5, width, 5).mean((1, 3)) > 0.5


def agree(sample: Sample, slack: float) -> None:
    """Every object of the sample lies where the picture shows it, and its box is tight up to ``slack`` pixels."""
    for place, label in enumerate(sample.labels):
        mask, painting = pasted(sample, place), sample.image[..., label]
        if slack == 0:
            assert np.array_equal(mask, painting > 127)
        elif mask.sum() >= 300:
            # Pixels on the outline may go either way.
            wrong = (mask & (painting < 64)) | (~mask & (painting > 191))
            assert wrong.sum() <= 0.03 * mask.sum()
        # The window's edge may show a fraction of a pixel.
        least, most = np.array(crop_of(painting > 250).box), np.array(crop_of(painting > 0).box)
        outwards = np.array([-1, -1, 1, 1])
        box = sample.boxes[place] * outwards
        assert (box <= most * outwards + slack).all()
        assert (box >= least * outwards - slack).all() or least.sum() == 0


position = st.floats(0, 120)
extent = st.floats(30, 150)
shapes = st.lists(st.tuples(position, position, extent, extent), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(shapes, st.lists(st.sampled_from([mirror, quarter_turn]), min_size=1, max_size=4))
def test_flips_and_turns(shapes: list[Shape], moves: list[Callable[[Sample], Sample]]) -> None:
    sample = painted((200, 230), [(x, y, min(w, 110), min(h, 110)) for x, y, w, h in shapes])
    picture = sample.image
    for move in moves:
        sample = move(sample)
        picture = np.fliplr(picture) if move is mirror else np.rot90(picture)
    assert np.array_equal(sample.image, picture)
    assert sample.labels.tolist() == list(range(len(shapes)))
    agree(sample, slack=0)


@settings(max_examples=40, deadline=None)
@given(shapes, st.floats(0.5, 2.0), st.integers(64, 256), st.integers(0, 99))
def test_scale_and_crop(shapes: list[Shape], scale: float, canvas: int, seed: int) -> None:
    sample = scale_and_crop(painted((200, 230), shapes), scale, canvas, np.random.default_rng(seed))
    assert max(sample.image.shape[:2]) <= canvas
    assert sample.image.shape[0] == min(round(200 * scale), canvas)
    # A cell of a patch is up to 1.4 pixels, and so is the error of a box tight around cells.
    agree(sample, slack=1 + 1.5 * scale)
    for label in {0, 1, 2} - set(sample.labels.tolist()):
        assert (sample.image[..., label] > 127).sum() <= 0.12 * 150 * 150 * scale**2


@settings(max_examples=25, deadline=None)
@given(shapes, st.booleans(), st.integers(0, 99))
def test_the_whole_augmentation(shapes: list[Shape], turns: bool, seed: int) -> None:
    augmentation = Augmentation(flip=True, turns=turns, scale=(0.7, 1.4), colour=0)
    sample = augmentation(painted((200, 230), shapes), 1.2, 224, np.random.default_rng(seed))
    agree(sample, slack=3.5)
    again = augmentation(painted((200, 230), shapes), 1.2, 224, np.random.default_rng(seed))
    assert np.array_equal(sample.image, again.image)
    assert np.array_equal(sample.boxes, again.boxes)


class TopLeft:
    """Draws the smallest value: the window starts at the image's corner."""

    def uniform(self, low: float, high: float) -> float:
        return low


def cut(sample: Sample, canvas: int, scale: float = 1.0) -> Sample:
    return scale_and_crop(sample, scale, canvas, TopLeft())  # type: ignore[arg-type]


def square(x: int, y: int, side: int, size: int = 100) -> Sample:
    mask = np.zeros((size, size), bool)
    mask[y : y + side, x : x + side] = True
    crop = crop_of(mask)
    objects = Objects(np.array([crop.box], np.float32), np.array([4]), np.zeros(1, bool), [crop], np.array([1]))
    return Sample.of(np.zeros((size, size, 3), np.uint8), objects)


def test_a_box_shows_the_visible_part_and_the_frame_the_whole() -> None:
    sample = cut(square(40, 10, 40), 60)
    assert sample.boxes.tolist() == [[40, 10, 60, 50]]
    assert sample.frames.tolist() == [[40, 10, 80, 50]]
    assert sample.labels.tolist() == [4]
    assert sample.crowd.shape == (0, 4)


def test_a_box_is_tight_around_what_is_left() -> None:
    """An L: its long arm lies below the window, of which only the foot's column shows."""
    mask = np.zeros((100, 100), bool)
    mask[10:90, 20:30] = mask[80:90, 20:90] = True
    crop = crop_of(mask)
    objects = Objects(np.array([crop.box], np.float32), np.zeros(1, int), np.zeros(1, bool), [crop], np.ones(1, int))
    sample = cut(Sample.of(np.zeros((100, 100, 3), np.uint8), objects), 64)
    assert sample.boxes.tolist() == [[20, 10, 30, 64]]


@pytest.mark.parametrize("visible", [1, 3])
def test_a_sliver_is_neither_object_nor_background(visible: int) -> None:
    """1 or 3 columns of 40 are left: too few pixels, or too small a share."""
    sample = cut(square(60 - visible, 10, 40), 60)
    assert len(sample.boxes) == len(sample.frames) == len(sample.patches) == len(sample.labels) == 0
    assert sample.crowd.tolist() == [[60 - visible, 10, 60, 50]]


def test_what_is_outside_is_gone() -> None:
    sample = cut(square(60, 10, 40), 60)
    assert len(sample.labels) == len(sample.crowd) == 0
    assert sample.boxes.shape == sample.frames.shape == sample.crowd.shape == (0, 4)


def test_a_thin_object_larger_than_its_patch_survives_a_cut() -> None:
    """A diagonal line of 300 pixels, of which the window shows two thirds."""
    mask = np.eye(300, dtype=bool)
    crop = crop_of(mask)
    objects = Objects(np.array([crop.box], np.float32), np.zeros(1, int), np.zeros(1, bool), [crop], np.ones(1, int))
    sample = cut(Sample.of(np.zeros((300, 300, 3), np.uint8), objects), 200)
    assert len(sample.labels) == 1
    np.testing.assert_allclose(sample.boxes, [[0, 0, 200, 200]], atol=3)


def test_crowd_regions_move_too() -> None:
    sample = painted((200, 200), [(20, 30, 60, 40), (100, 120, 80, 60)], crowd=(0,))
    box = sample.crowd[0].tolist()
    assert sample.labels.tolist() == [1]
    x1, y1, x2, y2 = box
    assert mirror(sample).crowd.tolist() == [[200 - x2, y1, 200 - x1, y2]]
    assert quarter_turn(sample).crowd.tolist() == [[y1, 200 - x2, y2, 200 - x1]]
    assert cut(sample, 120, 2.0).crowd.tolist() == [[2 * x1, 2 * y1, 120, 120]]
    assert cut(sample, 20).crowd.shape == (0, 4)


def test_an_image_without_objects() -> None:
    sample = painted((50, 60), [])
    for move in (mirror, quarter_turn, lambda s: cut(s, 40)):
        moved = move(sample)
        assert moved.boxes.shape == moved.frames.shape == moved.crowd.shape == (0, 4)


@pytest.mark.parametrize(("flip", "turns", "count"), [(False, False, 1), (True, False, 2), (False, True, 8)])
def test_which_arrangements_happen(flip: bool, turns: bool, count: int) -> None:
    augmentation = Augmentation(flip, turns, (1.0, 1.0), colour=0)
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    seen = set()
    for seed in range(100):
        empty = Sample.of(image, Objects(np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool), [], np.zeros(0)))
        seen.add(augmentation(empty, 1.0, 4, np.random.default_rng(seed)).image.tobytes())
    assert len(seen) == count


class Middle:
    """Draws the middle of each range."""

    def uniform(self, low: float, high: float, size: int | None = None) -> float | np.ndarray:
        middle = (low + high) / 2
        return middle if size is None else np.full(size, middle)


PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.integers(0, 10_000))
def test_colours_stay_pixels_and_grey_stays_grey(strength: float, seed: int) -> None:
    out = change_colour(PIXELS, strength, np.random.default_rng(seed))
    assert out.dtype == np.uint8
    assert out.shape == PIXELS.shape
    grey = change_colour(np.repeat(PIXELS[..., :1], 3, axis=-1), strength, np.random.default_rng(seed)).astype(int)
    assert np.ptp(grey, axis=-1).max() <= 1


@pytest.mark.parametrize(("strength", "draws"), [(1.0, Middle()), (0.0, np.random.default_rng(3))])
def test_no_change_is_no_change(strength: float, draws: np.random.Generator) -> None:
    assert np.array_equal(change_colour(PIXELS, strength, draws), PIXELS)


def test_strong_changes_change() -> None:
    changed = [change_colour(PIXELS, 1.0, np.random.default_rng(seed)).astype(int) for seed in range(5)]
    assert min(np.abs(out - PIXELS).mean() for out in changed) > 3
    assert np.abs(changed[0] - changed[1]).mean() > 3


class OnlyHue(Middle):
    """Draws the largest angle, and the middle of every other range."""

    def uniform(self, low: float, high: float, size: int | None = None) -> float | np.ndarray:
        return high if size is None and high < 1 else super().uniform(low, high, size)


def test_a_hue_turns_about_the_grey_axis() -> None:
    """Mean and distance from grey stay, the direction turns by half a radian; no pixel is near 0 or 255."""
    before = PIXELS // 4 + 90.0
    after = change_colour(before.astype(np.uint8), 1.0, OnlyHue()).astype(float) + 0.5  # type: ignore[arg-type]
    np.testing.assert_allclose(after.mean(-1), before.mean(-1), atol=1)
    colour, turned = (pixels - pixels.mean(-1, keepdims=True) for pixels in (before, after))
    lengths = np.linalg.norm(colour, axis=-1), np.linalg.norm(turned, axis=-1)
    np.testing.assert_allclose(*lengths, atol=1.5)
    strong = lengths[0] > 20
    cosine = (colour * turned).sum(-1)[strong] / (lengths[0] * lengths[1])[strong]
    np.testing.assert_allclose(np.arccos(cosine), 0.5, atol=0.1)
