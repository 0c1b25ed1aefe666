"""Copy-paste against dense masks: what is left of each object is what the pasted pixels leave of its mask.

The source is white where its objects are, the target shows object k in channel k.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.masks import crop_of
from maskrcnn.masks.patch import resample_patch
from maskrcnn.training.samples.copy_paste import copy_paste, paste
from maskrcnn.training.samples.instances import make_instances
from maskrcnn.training.samples.sample import PATCH_LIMIT, SLIVER_SHARE, Sample, SampleInputs, make_samples
from maskrcnn.training.samples.view import View

Rectangle = tuple[int, int, int, int]
NOWHERE = np.zeros(2, dtype=np.int64)


def sample_of(
    size: tuple[int, int],
    masks: list[np.ndarray],
    colours: np.ndarray,
    labels: list[int] | None = None,
    limit: int = 1000,
    boxes_only: tuple[int, ...] = (),
    dtype: type = np.uint8,
) -> Sample:
    """Objects of these masks, bool [H, W], each painted in its colour, [N, channels], on black."""
    image = np.zeros((*size, colours.shape[1]), dtype=dtype)
    annotations = []
    for k, mask in enumerate(masks):
        image[mask] = colours[k]
        crop = crop_of(mask)
        only = k in boxes_only
        label = labels[k] if labels else k
        annotations.append(Annotation(k, label, False, crop.box if only else None, None, None if only else crop))
    shapes, problems = make_instances(annotations, size, "test")
    assert problems == []
    return make_samples([SampleInputs(image, shapes, View.of(size, 1.0), None, limit)])[0]


def rectangle(size: tuple[int, int], at: Rectangle) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    x, y, w, h = at
    mask[y : y + h, x : x + w] = True
    return mask


def ellipse(size: tuple[int, int], at: Rectangle) -> np.ndarray:
    x, y, w, h = at
    rows, columns = np.ogrid[: size[0], : size[1]]
    return ((columns + 0.5 - x) / w * 2 - 1) ** 2 + ((rows + 0.5 - y) / h * 2 - 1) ** 2 <= 1


def dense(sample: Sample, k: int) -> np.ndarray:
    mask = np.zeros(sample.image.shape[:2], dtype=bool)
    x1, y1, x2, y2 = sample.frames[k].astype(int)
    rows, columns = sample.patches[k].shape
    mask[y1:y2, x1:x2] = resample_patch(sample.patches[k], (0, 0, columns, rows), (y2 - y1, x2 - x1)) > 127
    return mask


def target(masks: list[np.ndarray], **more: object) -> Sample:
    return sample_of(masks[0].shape, masks, np.eye(3)[: len(masks)] * 255, limit=PATCH_LIMIT, **more)  # type: ignore[arg-type]


def white(masks: list[np.ndarray]) -> Sample:
    """Classes 10, 11, …"""
    return sample_of(masks[0].shape, masks, np.full((len(masks), 3), 255), [10 + k for k in range(len(masks))])


def shifted(mask: np.ndarray, offset: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mask's part in an image of ``size`` with its pixel (0, 0) at offset = (x, y)."""
    moved = np.zeros(size, dtype=bool)
    rows, columns = np.nonzero(mask)
    rows, columns = rows + offset[1], columns + offset[0]
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    moved[rows[inside], columns[inside]] = True
    return moved


places = st.tuples(st.integers(0, 90), st.integers(0, 70), st.integers(12, 60), st.integers(12, 60))
objects = st.lists(st.tuples(places, st.sampled_from([rectangle, ellipse])), min_size=1, max_size=3)


@settings(max_examples=80, deadline=None)
@given(objects, objects, st.integers(-30, 30), st.integers(-30, 30))
def test_what_is_left_is_what_the_dense_masks_leave(below: list, above: list, x: int, y: int) -> None:
    size, offset = (140, 160), np.array([x, y])
    under, over = ([draw(size, at) for at, draw in these] for these in (below, above))
    # Later objects are painted over earlier ones, so that the masks of one sample are disjoint.
    under = [mask & ~np.any(under[k + 1 :], axis=0) if under[k + 1 :] else mask for k, mask in enumerate(under)]
    under = [mask for mask in under if mask.any()]
    before, source = target(under), white(over)
    after = paste(before, source, offset)

    arrived = {10 + k: shifted(mask, offset, size) for k, mask in enumerate(over)}
    pasted = {label for label in after.labels.tolist() if label >= 10}
    for label, mask in arrived.items():
        share = mask.sum() / over[label - 10].sum()
        assert label not in pasted or share >= 0.5
        assert label in pasted or share < 0.5 or min(np.ptp(np.array(crop_of(mask).box).reshape(2, 2), axis=0)) < 2
    cover = np.any([arrived[label] for label in pasted], axis=0) if pasted else np.zeros(size, dtype=bool)

    # Pixels: the source's where it covers, unchanged elsewhere.
    assert (after.image[cover] == 255).all()
    assert np.array_equal(after.image[~cover], before.image[~cover])

    for place, label in enumerate(after.labels.tolist()):
        expected = arrived[label] if label >= 10 else under[label] & ~cover
        assert np.array_equal(dense(after, place), expected)
        assert after.boxes[place].tolist() == list(crop_of(expected).box)
        assert max(after.patches[place].shape) <= PATCH_LIMIT
    for label, mask in enumerate(under):
        left = mask & ~cover
        box = np.array(crop_of(left).box)
        small = left.sum() < SLIVER_SHARE * mask.sum() or min(box[2:] - box[:2]) < 2
        assert (label in after.labels) == (not small)
        # A sliver is a region to ignore; what is gone leaves nothing.
        assert (box.tolist() in after.crowd.tolist()) == (bool(left.any()) and small)


def test_a_large_mask_loses_coverage_cell_by_cell() -> None:
    """Of an object of 300 pixels in 112 cells, a window of 100 is covered: what its cells keep is their area."""
    size = (320, 320)
    before = target([rectangle(size, (10, 10, 300, 300))])
    after = paste(before, white([rectangle(size, (60, 40, 100, 100))]), NOWHERE)
    patch = after.patches[0].astype(float) / 255
    assert patch.shape == (112, 112)
    assert patch.sum() * (300 / 112) ** 2 == pytest.approx(300**2 - 100**2, rel=2e-3)
    assert patch[60, 60] == 1
    assert patch[30, 40] == 0
    assert ((patch > 0) & (patch < 1)).any()
    assert after.boxes[0].tolist() == [10, 10, 310, 310]


def test_a_covered_end_takes_the_box_along() -> None:
    size = (60, 100)
    before = target([rectangle(size, (10, 20, 60, 20))])
    after = paste(before, white([rectangle(size, (0, 0, 40, 60))]), NOWHERE)
    assert after.labels.tolist() == [0, 10]
    assert after.boxes.tolist() == [[40, 20, 70, 40], [0, 0, 40, 60]]
    assert before.boxes.tolist() == [[10, 20, 70, 40]]


def test_neighbours_from_one_image_leave_no_seam() -> None:
    """Two halves that share a column of pixels, half covered by each: there is no gap between them."""
    outlines = [
        np.array(points, dtype=np.float64)
        for points in ([10, 10, 30.5, 10, 30.5, 40, 10, 40], [30.5, 10, 50, 10, 50, 40, 30.5, 40])
    ]
    annotations = [Annotation(k, k, False, None, None, [outline]) for k, outline in enumerate(outlines)]
    shapes, _ = make_instances(annotations, (60, 60), "halves")
    source = make_samples(
        [SampleInputs(np.full((60, 60, 3), 255, np.uint8), shapes, View.of((60, 60), 1.0), None, 999)]
    )[0]
    after = paste(target([rectangle((60, 60), (0, 0, 60, 60))]), source, NOWHERE)
    assert (after.image[10:40, 10:50] >= 254).all()
    assert after.patches[0][10:40, 10:50].max() <= 1


def test_objects_without_masks() -> None:
    """Half covered from one side: the box shrinks. Mostly covered: nobody knows. All covered: gone. Not: as it was."""
    size = (100, 200)
    boxes = [(10, 10, 40, 40), (60, 10, 40, 40), (110, 10, 40, 40), (160, 10, 30, 30)]
    masks = [rectangle(size, box) for box in boxes]
    before = sample_of(size, masks, np.full((4, 3), 9), boxes_only=(0, 1, 2, 3))
    over = [rectangle(size, (0, 0, 25, 90)), rectangle(size, (65, 0, 40, 60)), rectangle(size, (105, 5, 50, 50))]
    after = paste(before, white(over), NOWHERE)
    assert after.labels.tolist() == [0, 3, 10, 11, 12]
    assert after.boxes[:2].tolist() == [[25, 10, 50, 50], [160, 10, 190, 40]]
    assert [patch.size for patch in after.patches[:2]] == [0, 0]
    assert after.crowd.tolist() == [[60, 10, 65, 50]]


def test_a_hole_in_the_cover_keeps_a_box() -> None:
    """What is covered in the middle may go on beyond it."""
    size = (60, 60)
    before = sample_of(size, [rectangle(size, (10, 10, 40, 40))], np.full((1, 3), 9), boxes_only=(0,))
    after = paste(before, white([rectangle(size, (20, 20, 15, 15))]), NOWHERE)
    assert after.boxes[0].tolist() == [10, 10, 50, 50]


def test_no_sliver_is_pasted_and_no_crowd() -> None:
    """Pixels of an object that nobody labels would be taught as background."""
    size = (60, 60)
    before = target([rectangle(size, (5, 5, 20, 20))])
    source = white([rectangle(size, (0, 0, 20, 20)), rectangle(size, (40, 40, 10, 10))])
    after = paste(before, source, np.array([-15, 15]))
    assert after.labels.tolist() == [0, 11]
    assert after.image[..., 1].sum() == 50 * 255  # half of it lies inside
    only = paste(before, source, np.array([500, 500]))
    assert only is before


def test_a_smaller_sample_lies_somewhere_within_a_larger() -> None:
    small, large = (40, 50), (100, 120)
    inside = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        after = copy_paste(target([rectangle(large, (0, 0, 9, 9))]), white([rectangle(small, (10, 10, 20, 20))]), rng)
        x1, y1, x2, y2 = after.boxes[-1].tolist()
        assert (x2 - x1, y2 - y1) == (20, 20)
        assert 10 <= x1 <= 80
        assert 10 <= y1 <= 70
        inside.add((x1, y1))
        back = copy_paste(target([rectangle(small, (0, 0, 9, 9))]), white([rectangle(large, (40, 40, 30, 20))]), rng)
        assert back.image.shape[:2] == small
    assert len(inside) > 30


def test_a_random_part_of_the_objects_is_pasted() -> None:
    size = (80, 200)
    source = white([rectangle(size, (20 * k, 10, 12, 12)) for k in range(8)])
    counts = {0: 0}
    for seed in range(60):
        after = copy_paste(target([rectangle(size, (0, 60, 9, 9))]), source, np.random.default_rng(seed))
        counts[len(after.labels) - 1] = counts.get(len(after.labels) - 1, 0) + 1
    assert counts.pop(0) == 0
    assert set(counts) == set(range(1, 9))


def test_nothing_to_paste() -> None:
    size = (50, 50)
    before = target([rectangle(size, (5, 5, 20, 20))])
    boxes = sample_of(size, [rectangle(size, (5, 5, 20, 20))], np.full((1, 3), 9), boxes_only=(0,))
    empty = sample_of(size, [], np.zeros((0, 3)))
    for source in (boxes, empty):
        assert copy_paste(before, source, np.random.default_rng(0)) is before
    onto = copy_paste(empty, white([rectangle(size, (5, 5, 20, 20))]), np.random.default_rng(0))
    assert onto.labels.tolist() == [10]


def test_an_object_of_one_pixel_and_three_hundred_below() -> None:
    size = (200, 240)
    under = [rectangle(size, (12 * (k % 20) + 2, 12 * (k // 20) + 2, 8, 8)) for k in range(300)]
    image_colours = np.zeros((300, 3))
    before = sample_of(size, under, image_colours, limit=PATCH_LIMIT)
    cover = rectangle(size, (50, 50, 100, 80))
    after = paste(before, white([cover]), NOWHERE)
    kept = {label for label in after.labels.tolist() if label != 10}
    for k, mask in enumerate(under):
        left = mask & ~cover
        if not left.any():
            assert k not in kept or k == 10
        elif left.sum() == mask.sum():
            assert k in kept or k == 10
    tiny = sample_of(size, [rectangle(size, (70, 70, 1, 1))], np.full((1, 3), 255), [10])
    assert len(tiny.labels) == 0
    assert paste(before, tiny, NOWHERE) is before


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 12), (np.uint16, 4)])
def test_any_channels(dtype: type, channels: int) -> None:
    size, bright = (50, 60), np.iinfo(dtype).max
    before = sample_of(size, [rectangle(size, (5, 5, 20, 20))], np.full((1, channels), 7), dtype=dtype)
    source = sample_of(size, [ellipse(size, (15, 15, 30, 30))], np.full((1, channels), bright), [1], dtype=dtype)
    after = paste(before, source, NOWHERE)
    assert after.image.dtype == dtype
    assert (after.image[30, 30] == bright).all()
    assert (after.image[7, 7] == 7).all()


def test_half_covered_pixels_are_mixed() -> None:
    outline = np.array([10.5, 10, 20, 10, 20, 20, 10.5, 20])
    shapes, _ = make_instances([Annotation(0, 0, False, None, None, [outline])], (40, 40), "half")
    source = make_samples(
        [SampleInputs(np.full((40, 40, 3), 200, np.uint8), shapes, View.of((40, 40), 1.0), None, 999)]
    )[0]
    before = target([rectangle((40, 40), (30, 30, 9, 9))])
    after = paste(before, source, NOWHERE)
    assert (after.image[12, 9:12] == [[0] * 3, [100] * 3, [200] * 3]).all()
