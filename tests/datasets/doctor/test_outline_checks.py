"""Single outlines and masks, against comparisons written out one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.datasets.doctor.outline_checks import first_crossing, is_rectangle, pieces
from maskrcnn.masks.crop import Crop


def turn(a: list[int], b: list[int], c: list[int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def crosses(a: list[int], b: list[int], c: list[int], d: list[int]) -> bool:
    return turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=12))
def test_a_crossing_is_found_if_there_is_one(outline: list[tuple[int, int]]) -> None:
    points = [list(point) for point in outline]
    edges = list(zip(points, points[1:] + points[:1], strict=True))
    pairs = {(i, j) for i, first in enumerate(edges) for j, second in enumerate(edges) if crosses(*first, *second)}
    found = first_crossing(np.array(outline, dtype=np.float64))
    assert (found is None) == (not pairs)
    assert found is None or found in pairs


def test_a_long_outline_is_compared_in_parts() -> None:
    angles = np.linspace(0, 2 * np.pi, 1500, endpoint=False)
    circle = np.stack((np.cos(angles), np.sin(angles)), axis=1) * 100
    assert first_crossing(circle) is None
    circle[[900, 1100]] = circle[[1100, 900]]
    assert first_crossing(circle) is not None


@pytest.mark.parametrize(
    ("rows", "count", "gap"),
    [
        (["1111", "1111"], 1, 0),
        (["110011", "110011"], 2, 2),
        (["1100000", "1100000", "0000000", "0000011", "0000011"], 2, np.hypot(3, 1)),
        (["1111100001", "1111100000"], 2, 0),  # a speck beside an object
        (["110", "110", "001"], 1, 0),  # corners touch
    ],
)
def test_pieces_and_the_gap_between_them(rows: list[str], count: int, gap: float) -> None:
    crop = Crop(np.array([[cell == "1" for cell in row] for row in rows]), 3, 4)
    assert pieces(crop) == (count, pytest.approx(gap))


def test_only_large_full_masks_fill_their_boxes() -> None:
    full = np.ones((9, 12), dtype=bool)
    notched = full.copy()
    notched[0, 0] = False
    padded = np.pad(full, 2)
    assert [is_rectangle(Crop(mask, 0, 0)) for mask in (full, notched, padded, full[:5])] == [True, False, True, False]
