import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as truth

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks, rasterise

COORDINATES = st.one_of(st.integers(-20, 40), st.floats(-20, 40, width=32))
POLYGON = st.integers(3, 8).flatmap(lambda n: st.lists(COORDINATES, min_size=2 * n, max_size=2 * n))


@settings(max_examples=300, deadline=None)
@given(st.lists(POLYGON, min_size=1, max_size=4), st.integers(1, 25), st.integers(1, 25))
def test_equals_pycocotools_wherever_the_polygons_lie(polygons: list[list[float]], height: int, width: int) -> None:
    size = (height, width)
    expected = truth.decode(truth.merge(truth.frPyObjects(polygons, height, width)))
    assert (Masks([rasterise(polygons, size)], size).dense()[0] == expected).all()


def test_a_square_by_hand() -> None:
    crop = rasterise([[2, 1, 5, 1, 5, 4, 2, 4]], (10, 10))
    assert crop.box == (2.0, 1.0, 5.0, 4.0)
    assert crop.bitmap.all()


def test_parts_add_up_and_overlap_counts_once() -> None:
    square = [0, 0, 2, 0, 2, 2, 0, 2]
    assert rasterise([square, square, [4, 0, 6, 0, 6, 2, 4, 2]], (9, 9)).area == 8


def test_no_polygon_and_polygon_outside_are_empty() -> None:
    assert rasterise([], (5, 5)).bitmap.size == 0
    assert rasterise([[10, 10, 20, 10, 20, 20]], (5, 5)).bitmap.size == 0


def test_arrays_are_taken() -> None:
    assert rasterise([np.array([2, 1, 5, 1, 5, 4, 2, 4], dtype=np.float32)], (10, 10)).area == 9


@pytest.mark.parametrize(
    ("polygon", "told"),
    [
        ([1, 1, 2, 2], "found 4 values"),
        ([1, 1, 2, 2, 3, 3, 4], "found 7 values"),
        ([], "found 0 values"),
        ([[1, 1], [2, 2], [3, 3]], "2 levels"),
        ([1, 1, 2, 2, 3, float("nan")], "nan"),
        ([1, 1, 2, 2, 3, 1e9], "numbers between"),
        ([1, 1, 2, 2, 3, "x"], "numbers between"),
    ],
)
def test_what_is_no_polygon_is_refused(polygon: list, told: str) -> None:
    with pytest.raises(MaskRCNNError, match=told):
        rasterise([polygon], (10, 10))


def test_the_length_of_an_outline_is_bounded() -> None:
    """The drawing allocates 40 bytes a pixel of the outline: 100 such edges took 8 GB."""
    there_and_back = [0, 0, 1e6, 1e6] * 3 + [0, 0]
    assert rasterise([there_and_back], (20, 30)).area == 0
    with pytest.raises(MaskRCNNError, match="outline of at most 8,000,000 pixels, found 100,000,000"):
        rasterise([[0, 0, 1e6, 1e6] * 50], (20, 30))
