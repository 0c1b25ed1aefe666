"""The overlay: what is drawn where, what stays as it was, and how long a large picture takes."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.results import overlay
from maskrcnn.results.overlay import HALO_OPACITY, INK, count_line, draw_objects, object_colour


def box_of(crop):
    h, w = crop.bitmap.shape
    return (crop.x, crop.y, crop.x + w, crop.y + h)


def draw(image, crops, labels=False, **kwargs):
    boxes = np.array([box_of(crop) for crop in crops], dtype=np.float32).reshape(-1, 4)
    scores = np.linspace(0.99, 0.5, len(crops)).astype(np.float32)
    return np.asarray(draw_objects(image, crops, boxes, ["cell"] * len(crops), scores, labels=labels, **kwargs))


def square(side, x, y):
    return Crop(np.ones((side, side), dtype=bool), x, y)


def grey(height, width, value=120):
    return np.full((height, width, 3), value, dtype=np.uint8)


def disc(radius, x, y):
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return Crop(rows**2 + columns**2 <= radius**2, x, y)


def test_a_fill_mixes_the_objects_colour_into_its_pixels_only():
    image = grey(60, 60)
    drawn = draw(image, [square(30, 10, 20)], opacity=0.5)
    colour = np.array(object_colour(0))
    assert np.abs(drawn[35, 25].astype(float) - (120 + colour) / 2).max() <= 1
    far = np.ones((60, 60), dtype=bool)
    far[15:55, 5:45] = False
    assert (drawn[far] == 120).all()
    assert (image == 120).all()


def test_the_outline_runs_along_the_edge_bright_between_dark_on_any_background():
    for background in (0, 128, 255):
        drawn = draw(grey(60, 60, background), [square(30, 15, 15)], opacity=0.0).astype(int)
        # Across the left edge, which lies between columns 14 and 15.
        inner, outer = drawn[30, 15], drawn[30, 14]
        bright = np.array(object_colour(0)) * 0.8 + 51
        assert np.abs(inner - bright).max() <= 1
        assert np.abs(outer - bright).max() <= 1
        if background:
            assert (drawn[30, 13] < background).all()
            assert (drawn[30, 16] < background).all()
        assert (drawn[30, 20] == background).all()


@pytest.mark.parametrize("at_once", [1, 3000, overlay.INDICES])
@pytest.mark.parametrize("width", [2.0, 3.7])
def test_each_pixel_is_stroked_by_the_crack_nearest_to_it(at_once, width, monkeypatch):
    """However many of them are computed together; the distances here are all against all."""
    monkeypatch.setattr(overlay, "INDICES", at_once)
    noise = np.random.default_rng(0).random((14, 17)) < 0.3
    for crop in (disc(9, 12, 11), Crop(noise, 20, 18), Crop(noise[:1], 0, 0), square(8, 42, 32)):
        whole = np.zeros((44, 54), dtype=bool)
        whole[crop.y + 2 :, crop.x + 2 :][: crop.bitmap.shape[0], : crop.bitmap.shape[1]] = crop.bitmap
        cracks = [(y, x + 0.5) for y, x in np.argwhere(whole[:, 1:] != whole[:, :-1])]
        cracks += [(y + 0.5, x) for y, x in np.argwhere(whole[1:] != whole[:-1])]
        pixels = np.stack(np.mgrid[2:42, 2:52], axis=-1)
        distance = np.linalg.norm(pixels[:, :, None] - np.array(cracks), axis=-1).min(axis=-1)[..., None]
        reach = np.ceil(width / 2 + 0.5 + max(1.0, width / 3))
        halo = np.where(distance < reach, np.clip(reach - distance, 0, 1) * HALO_OPACITY, 0)
        line = np.where(distance < reach, np.clip(width / 2 + 0.5 - distance, 0, 1), 0)
        wanted = 120 * (1 - halo) + np.array(INK) * halo
        wanted += (np.array(object_colour(0)) * 0.8 + 51 - wanted) * line
        drawn = draw(grey(40, 50), [crop], line=width, opacity=0)
        assert np.abs(drawn - wanted).max() <= 0.51


def test_labels_do_not_depend_on_what_was_drawn_before():
    crops = [disc(9, 30, 30 + 40 * k) for k in range(3)]
    first = draw(grey(200, 200), crops, labels=True)
    draw(grey(900, 700), [disc(60, 90, 200)], labels=True)
    assert np.array_equal(draw(grey(200, 200), crops, labels=True), first)


def test_lines_grow_with_the_image():
    def line_pixels(side):
        drawn = draw(grey(side, side, 255), [square(side // 2, side // 4, side // 4)], opacity=0.0)
        bright = np.array(object_colour(0)) * 0.8 + 51
        return int((np.abs(drawn[side // 2, : side // 2] - bright) <= 1).all(axis=1).sum())

    assert line_pixels(200) == 2
    assert line_pixels(2800) == 4


def test_the_width_of_lines_can_be_given():
    drawn = draw(grey(200, 200, 255), [square(100, 50, 50)], opacity=0.0, line=6.0)
    bright = np.array(object_colour(0)) * 0.8 + 51
    assert (np.abs(drawn[100, :100] - bright) <= 1).all(axis=1).sum() == 6


def test_labels_without_scores_are_names_alone():
    crop = disc(40, 150, 120)
    boxes = np.array([box_of(crop)], dtype=np.float32)

    def label_width(scores):
        plain, labelled = (
            np.asarray(draw_objects(grey(400, 400), [crop], boxes, ["cell"], scores, labels=labels))
            for labels in (False, True)
        )
        return np.ptp(np.nonzero((plain != labelled).any(axis=2))[1])

    assert 20 < label_width(None) < label_width(np.array([0.99])) - 10


def test_thin_and_holed_masks_are_outlined_too():
    line = Crop(np.ones((1, 20), dtype=bool), 10, 30)
    ring = disc(12, 30, 5)
    ring.bitmap[8:17, 8:17] = False
    drawn = draw(grey(64, 64), [line, ring], opacity=0.0)
    assert (drawn[30, 10:30] != 120).any(axis=1).all()
    assert (drawn[5 + 8, 30 + 12] != 120).any()
    assert (drawn[5 + 12, 30 + 12] == 120).all()


def test_an_object_without_mask_shows_its_box():
    boxes = np.array([[10.2, 10.7, 40, 30]], dtype=np.float32)
    empty = Crop(np.zeros((0, 0), dtype=bool), 0, 0)
    drawn = np.asarray(draw_objects(grey(50, 50), [empty], boxes, ["cell"], np.ones(1), labels=False))
    assert (drawn[10, 20:30] != 120).any(axis=1).all()
    assert (drawn[20, 25] == 120).all()


def test_a_small_object_in_front_of_a_large_one_is_seen_whatever_their_order():
    small, large = square(10, 45, 45), square(80, 10, 10)
    for k, crops in enumerate(([small, large], [large, small])):
        assert draw(grey(100, 100), crops, opacity=1.0)[50, 50].tolist() == list(object_colour(k))


def test_no_objects_leave_the_image_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert np.array_equal(draw(image, [], labels=True), image)


def test_colours_differ_most_between_neighbours_and_none_is_dark():
    colours = np.array([object_colour(k) for k in range(60)], dtype=float)
    distance = np.abs(colours[:, None] - colours).sum(axis=2)
    assert min(distance[k, k + 1] for k in range(59)) > 150
    assert min(distance[k, k + 2] for k in range(58)) > 100
    assert distance[~np.eye(60, dtype=bool)].min() > 15
    assert (colours @ (0.299, 0.587, 0.114)).min() > 110


def labels_only(image, crops):
    """Pixels that labels changed."""
    return (draw(image, crops, labels=True) != draw(image, crops)).any(axis=2)


def test_a_label_stands_beside_its_object_not_on_it():
    crop = disc(40, 150, 120)
    changed = labels_only(grey(400, 400), [crop])
    rows, columns = np.nonzero(changed)
    assert len(rows) > 300
    assert not changed[crop.y : crop.y + 81, crop.x : crop.x + 81][crop.bitmap].any()
    assert crop.y - 40 < rows.max() < crop.y
    assert abs(columns.mean() - (crop.x + 40.5)) < 3


def test_an_object_that_fills_the_image_has_its_label_inside():
    assert labels_only(grey(300, 300), [Crop(np.ones((300, 300), dtype=bool), 0, 0)]).sum() > 300


def test_a_crowd_without_room_gets_one_legend_instead():
    crops = [square(8, 10 * column + 1, 10 * row + 1) for row in range(20) for column in range(20)]
    changed = labels_only(grey(200, 200), crops)
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert rows.max() - rows.min() < 30
    assert columns.max() - columns.min() < 120
    assert rows.max() > 150 or rows.min() < 50


def test_two_hundred_objects_on_twelve_megapixels_take_few_seconds():
    crops = [disc(45, 30 + 195 * column, 40 + 290 * row) for row in range(10) for column in range(20)]
    started = time.perf_counter()
    drawn = draw(grey(3000, 4000), crops, labels=True)
    assert time.perf_counter() - started < 6
    assert drawn.shape == (3000, 4000, 3)
    first = crops[0]
    assert (drawn[first.y + 45, first.x + 45] != 120).any()


def test_only_rgb8_is_drawn_on():
    with pytest.raises(MaskRCNNError, match=r"expected an image uint8 \[H, W, 3\], found float64 \[4, 4\]"):
        draw(np.zeros((4, 4)), [])


def test_count_line():
    assert count_line(["cat", "dog", "dog"]) == "2 dog, 1 cat"


@settings(max_examples=60, deadline=None)
@given(data=st.data(), height=st.integers(1, 60), width=st.integers(1, 60))
def test_anything_inside_an_image_can_be_drawn(data, height, width):
    crops = []
    for _ in range(data.draw(st.integers(0, 4))):
        x, y = data.draw(st.integers(0, width)), data.draw(st.integers(0, height))
        w, h = data.draw(st.integers(0, width - x)), data.draw(st.integers(0, height - y))
        seed = data.draw(st.integers(0, 9))
        crops.append(Crop(np.random.default_rng(seed).random((h, w)) < seed / 6, x, y))
    image = grey(height, width)
    drawn = draw(image, crops, labels=True)
    assert drawn.shape == image.shape
    assert (image == 120).all()
