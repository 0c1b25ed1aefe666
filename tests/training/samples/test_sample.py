"""Masks move with the picture.

Each object is painted into a colour channel of its own image, so that the sample's pixels show where its mask has to
be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.masks import crop_of, rasterise
from maskrcnn.masks.patch import resample_patch
from maskrcnn.training.samples.instances import make_instances
from maskrcnn.training.samples.sample import Sample, SampleInputs, make_samples, mirror, quarter_turn
from maskrcnn.training.samples.view import View

Shape = tuple[float, float, float, float]


def lopsided(shape: Shape, corners: int = 60) -> np.ndarray:
    """A flat polygon: an ellipse (x, y, w, h), its lower right quarter filled, its upper left cut off."""
    x, y, w, h = shape
    angles = np.linspace(-np.pi / 4, np.pi * 3 / 4, corners)
    u, v = np.cos(angles), np.sin(angles)
    # The quarter from 0 to 90 degrees is pushed out to its square.
    reach = np.where((u > 0) & (v > 0), 1 / np.maximum(np.maximum(u, v), 1e-9), 1)
    return np.stack((x + w * (u * reach + 1) / 2, y + h * (v * reach + 1) / 2), axis=1).flatten()


def painted(
    size: tuple[int, int], shapes: list[Shape], crowd: tuple[int, ...] = (), drawn: bool = False
) -> SampleInputs:
    """Object k is channel k of the image, and its label is k; given as polygons, or drawn as crops."""
    outlines = [np.clip(lopsided(shape), 0, np.tile([size[1], size[0]], 60)) for shape in shapes]
    image = np.zeros((*size, max(len(shapes), 3)), dtype=np.uint8)
    annotations = []
    for k, outline in enumerate(outlines):
        crop = rasterise([outline], size)
        rows, columns = (slice(start, start + n) for start, n in zip((crop.y, crop.x), crop.bitmap.shape, strict=True))
        image[rows, columns, k] = crop.bitmap * np.uint8(255)
        annotations.append(Annotation(k + 1, k, k in crowd, None, None, crop if drawn else [outline]))
    shapes_, problems = make_instances(annotations, size, "painted")
    assert problems == []
    return SampleInputs(image, shapes_, View.of(size, 1.0))


def whole(picture: SampleInputs) -> Sample:
    return make_samples([picture])[0]


def seen(
    picture: SampleInputs, zoom: float = 1.0, corner: tuple[float, float] = (0, 0), canvas: int | None = None
) -> Sample:
    return whole(picture._replace(view=View.of(picture.image.shape[:2], zoom, corner, canvas)))  # type: ignore[arg-type]


def pasted(sample: Sample, place: int) -> np.ndarray:
    """float [H, W], 0..255: the patch drawn in its frame."""
    canvas = np.zeros(sample.image.shape[:2])
    x1, y1, x2, y2 = sample.frames[place].astype(int)
    rows, columns = sample.patches[place].shape
    canvas[y1:y2, x1:x2] = resample_patch(sample.patches[place], (0, 0, columns, rows), (y2 - y1, x2 - x1))
    return canvas


def agree(sample: Sample, slack: float) -> None:
    """Every object of the sample lies where the picture shows it, and its box is tight up to ``slack`` pixels."""
    height, width = sample.image.shape[:2]
    assert (sample.boxes >= 0).all()
    assert (sample.boxes <= [width, height, width, height]).all()
    assert np.array_equal(sample.frames, np.round(sample.frames))
    for place, label in enumerate(sample.labels):
        mask, painting = pasted(sample, place), sample.image[..., label].astype(float)
        if painting.sum() >= 300 * 255:
            # Pixels on the outline may go either way.
            wrong = (mask > 200) & (painting < 55) | (mask < 55) & (painting > 200)
            assert wrong.sum() <= 0.03 * (painting > 127).sum()
            assert mask.sum() == pytest.approx(painting.sum(), rel=0.06)
        least, most = np.array(crop_of(painting > 250).box), np.array(crop_of(painting > 0).box)
        outwards = np.array([-1, -1, 1, 1])
        box = sample.boxes[place] * outwards
        assert (box <= most * outwards + slack).all()
        assert (box >= least * outwards - slack).all() or least.sum() == 0


position = st.floats(0, 120)
extent = st.floats(30, 150)
shapes = st.lists(st.tuples(position, position, extent, extent), min_size=1, max_size=3)
drawn = st.booleans()


@settings(max_examples=40, deadline=None)
@given(shapes, drawn, st.lists(st.sampled_from([mirror, quarter_turn]), min_size=1, max_size=4))
def test_flips_and_turns(shapes: list[Shape], drawn: bool, moves: list[Callable[[Sample], Sample]]) -> None:
    picture = painted((200, 230), shapes, drawn=drawn)
    sample, image = whole(picture), picture.image
    for move in moves:
        sample = move(sample)
        image = np.fliplr(image) if move is mirror else np.rot90(image)
    assert np.array_equal(sample.image, image)
    assert sorted(sample.labels.tolist()) == list(range(len(shapes)))
    # Of a polygon's thin tip no pixel is painted.
    agree(sample, slack=1 if drawn else 3)


@settings(max_examples=50, deadline=None)
@given(shapes, drawn, st.floats(0.3, 2.0), st.integers(64, 256), st.floats(0, 1), st.floats(0, 1))
def test_scaling_and_cutting(
    shapes: list[Shape], drawn: bool, zoom: float, canvas: int, right: float, down: float
) -> None:
    spare = max(230 - canvas / zoom, 0) * right, max(200 - canvas / zoom, 0) * down
    sample = seen(painted((200, 230), shapes, drawn=drawn), zoom, spare, canvas)
    # A box is tight around cells, of which a patch has up to 112.
    agree(sample, slack=1.5 + (1 if drawn else 3) * zoom + max(canvas / 112, 1))
    for label in set(range(len(shapes))) - set(sample.labels.tolist()):
        assert (sample.image[..., label] > 127).sum() <= 0.12 * 150 * 150 * zoom**2


@settings(max_examples=20, deadline=None)
@given(shapes, st.floats(0.3, 2.0))
def test_polygons_and_drawn_masks_give_one_sample(shapes: list[Shape], zoom: float) -> None:
    """But for what drawing whole pixels loses; and several pictures at once give what each gives alone."""
    pictures = [painted((200, 230), shapes, drawn=way) for way in (False, True)]
    pictures = [picture._replace(view=View.of((200, 230), zoom, (20, 10), 160)) for picture in pictures]
    smooth, drawn = make_samples(pictures)
    if smooth.labels.tolist() == drawn.labels.tolist():
        assert np.abs(smooth.boxes - drawn.boxes).max(initial=0) <= 1.5 + 3 * zoom
        for a, b, frame in zip(smooth.patches, drawn.patches, smooth.frames, strict=True):
            if a.shape == b.shape:
                edge = 510 * zoom / min(frame[2:] - frame[:2])
                assert abs(a.mean() - b.mean()) <= 5 + edge
    for together, picture in zip((smooth, drawn), pictures, strict=True):
        alone = whole(picture)
        assert np.array_equal(alone.image, together.image)
        assert np.array_equal(alone.boxes, together.boxes)
        assert all(np.array_equal(a, b) for a, b in zip(alone.patches, together.patches, strict=True))


def square(x: int, y: int, side: int, size: int = 100, masked: bool = True) -> SampleInputs:
    """One object of class 4: a square."""
    outline = np.array([x, y, x + side, y, x + side, y + side, x, y + side], dtype=np.float64)
    box = None if masked else (x, y, x + side, y + side)
    annotation = Annotation(1, 4, False, box, None, [outline] if masked else None)  # type: ignore[arg-type]
    shapes, _ = make_instances([annotation], (size, size), "square")
    return SampleInputs(np.zeros((size, size, 3), np.uint8), shapes, View.of((size, size), 1.0))


def test_box_and_frame_show_the_visible_part() -> None:
    sample = seen(square(40, 10, 40), canvas=60)
    assert sample.boxes.tolist() == sample.frames.tolist() == [[40, 10, 60, 50]]
    assert sample.patches[0].shape == (40, 20)
    assert (sample.patches[0] == 255).all()
    assert sample.labels.tolist() == [4]
    assert sample.areas.tolist() == [1600]
    assert sample.crowd.shape == (0, 4)


def test_a_box_is_tight_around_what_is_left() -> None:
    """An L: its long arm lies below the window, of which only the foot's column shows."""
    outline = np.array([20, 10, 30, 10, 30, 80, 90, 80, 90, 90, 20, 90], dtype=np.float64)
    shapes, _ = make_instances([Annotation(1, 0, False, None, None, [outline])], (100, 100), "L")
    sample = seen(SampleInputs(np.zeros((100, 100, 3), np.uint8), shapes, View.of((100, 100), 1.0)), canvas=64)
    assert sample.boxes.tolist() == [[20, 10, 30, 64]]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("visible", [1, 3])
def test_a_sliver_is_neither_object_nor_background(visible: int, masked: bool) -> None:
    """1 or 3 columns of 40 are left: too few pixels, or too small a share."""
    sample = seen(square(60 - visible, 10, 40, masked=masked), canvas=60)
    assert len(sample.boxes) == len(sample.frames) == len(sample.patches) == len(sample.labels) == 0
    assert sample.crowd.tolist() == [[60 - visible, 10, 60, 50]]


def test_what_is_outside_is_gone() -> None:
    sample = seen(square(60, 10, 40), canvas=60)
    assert len(sample.labels) == len(sample.crowd) == 0
    assert sample.boxes.shape == sample.frames.shape == sample.crowd.shape == (0, 4)


def test_an_object_without_a_mask_keeps_its_box() -> None:
    sample = seen(square(40, 10, 40, masked=False), zoom=0.5)
    assert sample.boxes.tolist() == [[20, 5, 40, 25]]
    assert sample.patches[0].shape == (0, 0)
    for move in (mirror, quarter_turn):
        assert move(sample).patches[0].shape == (0, 0)


def test_an_object_of_one_pixel() -> None:
    """It is one pixel when whole, nobody knows what when shrunk or of that size, and an object again when enlarged."""
    one = square(10, 10, 1)
    for zoom, boxes, regions in (
        (1.0, [], [[10, 10, 11, 11]]),
        (4.0, [[40, 40, 44, 44]], []),
        (0.5, [], [[5, 5, 5.5, 5.5]]),
    ):
        sample = seen(one, zoom)
        assert sample.boxes.tolist() == boxes
        assert sample.crowd.tolist() == regions


def test_a_thin_object_larger_than_its_patch_survives_a_cut() -> None:
    """A diagonal line of 300 pixels, of which the window shows two thirds."""
    shapes, _ = make_instances(
        [Annotation(1, 0, False, None, None, crop_of(np.eye(300, dtype=bool)))], (300, 300), "line"
    )
    sample = seen(SampleInputs(np.zeros((300, 300, 3), np.uint8), shapes, View.of((300, 300), 1.0)), canvas=200)
    assert len(sample.labels) == 1
    np.testing.assert_allclose(sample.boxes, [[0, 0, 200, 200]], atol=3)


def test_regions_move_too() -> None:
    picture = painted((200, 200), [(20, 30, 60, 40), (100, 120, 80, 60)], crowd=(0,))
    sample = whole(picture)
    assert sample.labels.tolist() == [1]
    x1, y1, x2, y2 = sample.crowd[0].tolist()
    assert mirror(sample).crowd.tolist() == [[200 - x2, y1, 200 - x1, y2]]
    assert quarter_turn(sample).crowd.tolist() == [[y1, 200 - x2, y2, 200 - x1]]
    assert seen(picture, 2.0, canvas=120).crowd.tolist() == [[2 * x1, 2 * y1, 120, 120]]
    assert seen(picture, canvas=20).crowd.shape == (0, 4)


def test_an_image_without_objects() -> None:
    sample = whole(painted((50, 60), []))
    for move in (mirror, quarter_turn, lambda s: s):
        moved = move(sample)
        assert moved.boxes.shape == moved.frames.shape == moved.crowd.shape == (0, 4)
        assert moved.patches == []


def test_three_hundred_objects() -> None:
    """A grid of squares of 6 pixels: each is where it should be after everything has moved."""
    corners = [(x, y) for y in range(5, 195, 12) for x in range(5, 235, 12)][:300]
    annotations = [
        Annotation(k, k, False, None, None, [np.array([x, y, x + 6, y, x + 6, y + 6, x, y + 6], dtype=np.float64)])
        for k, (x, y) in enumerate(corners)
    ]
    shapes, _ = make_instances(annotations, (200, 240), "grid")
    picture = SampleInputs(np.zeros((200, 240, 3), np.uint8), shapes, View.of((200, 240), 1.5))
    sample = mirror(whole(picture))
    assert len(sample.labels) == len(corners) == 300
    x, y = np.array(corners)[sample.labels].T * 1.5
    np.testing.assert_allclose(sample.boxes, np.stack((360 - x - 9, y, 360 - x, y + 9), axis=1), atol=1e-3)
    assert all(patch.mean() > 180 for patch in sample.patches)


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 12), (np.uint16, 3), (np.uint16, 4)])
def test_any_channels_are_turned_alike(dtype: type, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (20, 30, channels), dtype=dtype)
    sample = whole(painted((20, 30), [])._replace(image=image))
    assert np.array_equal(mirror(sample).image, image[:, ::-1])
    turned = quarter_turn(sample).image
    assert turned.dtype == dtype
    assert np.array_equal(turned, np.rot90(image))
