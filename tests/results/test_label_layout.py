"""Labels keep inside the image, off each other and off the objects."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.masks.crop import Crop
from maskrcnn.results.label_layout import Font, LabelLayout


def boxes_of(crops):
    return np.array([crop.box for crop in crops], dtype=np.float32).reshape(-1, 4)


def rectangle(x, y, w, h):
    return Crop(np.ones((h, w), dtype=bool), x, y)


def test_the_first_choice_is_centred_above():
    crop = rectangle(100, 100, 60, 40)
    assert LabelLayout((300, 300), [crop], boxes_of([crop])).place([(40, 10)], np.array([0]), gap=3) == [(110, 87)]


def test_at_the_upper_edge_the_label_goes_below():
    crop = rectangle(100, 0, 60, 40)
    assert LabelLayout((300, 300), [crop], boxes_of([crop])).place([(40, 10)], np.array([0]), gap=3) == [(110, 43)]


def test_it_stands_over_the_top_of_the_mask_not_of_its_box():
    bitmap = np.zeros((40, 60), dtype=bool)
    bitmap[:, :10] = True
    bitmap[-5:] = True
    crop = Crop(bitmap, 100, 100)
    assert LabelLayout((300, 300), [crop], boxes_of([crop])).place([(20, 10)], np.array([0]), gap=3) == [(95, 87)]


def test_a_small_object_above_is_not_hidden():
    crops = [rectangle(100, 100, 60, 40), rectangle(120, 85, 10, 8)]
    place = LabelLayout((300, 300), crops, boxes_of(crops)).place([(40, 10), (40, 10)], np.array([0, 1]), gap=3)[0]
    x, y = place
    assert x >= 130 or x + 40 <= 120 or y >= 93 or y + 10 <= 85


def test_who_comes_first_in_the_order_keeps_the_place():
    crops = [rectangle(100, 100, 20, 20), rectangle(100, 100, 20, 20)]
    layout = LabelLayout((300, 300), crops, boxes_of(crops))
    first = layout.place([(40, 10)] * 2, np.array([0, 1]), gap=3)
    last = layout.place([(40, 10)] * 2, np.array([1, 0]), gap=3)
    assert first == last[::-1]
    assert first[0] == (90, 87)


def test_no_room_no_label():
    crop = rectangle(5, 5, 10, 10)
    assert LabelLayout((20, 20), [crop], boxes_of([crop])).place([(40, 10)], np.array([0]), gap=3) == [None]
    full = [rectangle(10 * k, 0, 10, 100) for k in range(10)]
    assert LabelLayout((100, 100), full, boxes_of(full)).place([(30, 12)] * 10, np.arange(10), 2).count(None) >= 5


def test_an_object_without_mask_is_labelled_at_its_box():
    layout = LabelLayout((300, 300), [Crop(np.zeros((0, 0), bool), 0, 0)], np.array([[100, 100, 160, 140]], np.float32))
    assert layout.place([(40, 10)], np.array([0]), gap=3) == [(110, 87)]


def test_the_legend_takes_the_emptiest_corner_and_labels_keep_off():
    crops = [
        rectangle(0, 250, 100, 50),
        rectangle(0, 0, 100, 50),
        rectangle(250, 0, 50, 50),
        rectangle(220, 270, 20, 20),
    ]
    layout = LabelLayout((300, 300), crops[:3], boxes_of(crops[:3]))
    assert layout.reserve_corner((80, 20), margin=5) == (215, 275)
    assert _apart([(215, 275), *layout.place([(60, 12)] * 3, np.arange(3), 2)], [(80, 20)] + [(60, 12)] * 3)


def test_the_coarse_map_of_a_large_image_sees_an_object_where_it_is():
    crop = rectangle(2000, 1001, 801, 603)
    layout = LabelLayout((3000, 4000), [crop], boxes_of([crop]))
    assert layout.cell > 1
    rows, columns = np.nonzero(layout.share)
    assert abs(rows.min() * layout.cell - 1001) <= layout.cell
    assert abs((columns.max() + 1) * layout.cell - 2801) <= layout.cell
    assert np.isclose(layout.share.sum(), 1)


def _apart(places, chips):
    rects = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(places, chips, strict=True)]
    return all(
        a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in itertools.combinations(rects, 2)
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), height=st.integers(20, 300), width=st.integers(20, 300))
def test_labels_never_overlap_and_stay_inside(seed, count, height, width):
    random = np.random.default_rng(seed)
    crops = []
    for _ in range(count):
        w, h = random.integers(1, width // 2 + 1), random.integers(1, height // 2 + 1)
        crops.append(rectangle(int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1)), w, h))
    chips = [(int(random.integers(10, 60)), 12) for _ in crops]
    places = LabelLayout((height, width), crops, boxes_of(crops)).place(chips, random.permutation(count), gap=3.0)
    kept = [(place, chip) for place, chip in zip(places, chips, strict=True) if place is not None]
    assert all(0 <= x <= width - w and 0 <= y <= height - h for (x, y), (w, h) in kept)
    assert _apart([place for place, _ in kept], [chip for _, chip in kept])


def test_a_chip_grows_with_text_and_size():
    small, large = Font(11), Font(44)
    assert small.chip("cat 90%")[0] > small.chip("cat")[0]
    assert large.chip("cat")[0] > 3 * small.chip("cat")[0]
    assert small.chip("cat")[1] > 11


def test_what_cannot_become_enough_is_given_up():
    crops = [rectangle(100, 100, 120, 150)] * 14  # objects in one place: room for some of the labels
    layout = LabelLayout((300, 300), crops, boxes_of(crops))
    whole = layout.place([(90, 90)] * 14, np.arange(14), gap=3)
    missing = whole.count(None)
    assert 2 <= missing < 14
    assert layout.place([(90, 90)] * 14, np.arange(14), gap=3, misses=missing) == whole
    first = whole.index(None)
    expected = [*whole[:first], *[None] * (14 - first)]
    assert layout.place([(90, 90)] * 14, np.arange(14), gap=3, misses=0) == expected
