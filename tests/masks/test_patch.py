import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from maskrcnn.masks.patch import resample_patch, to_patch


def by_definition(bitmap: np.ndarray, height: int, width: int) -> np.ndarray:
    """Area averages: repeat every pixel so that whole numbers of copies make a cell."""
    fine = np.repeat(np.repeat(bitmap.astype(np.float64), height, axis=0), width, axis=1)
    h, w = bitmap.shape
    return fine.reshape(height, h, width, w).mean(axis=(1, 3)) * 255


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30))), st.integers(1, 20))
def test_coverage_is_the_exact_area_average(bitmap: np.ndarray, limit: int) -> None:
    patch = to_patch(bitmap, limit)
    height, width = (min(side, limit) for side in bitmap.shape)
    assert patch.dtype == np.uint8
    assert patch.shape == (height, width)
    assert np.abs(patch - by_definition(bitmap, height, width)).max() <= 0.5 + 1e-3


def test_a_mask_that_fits_is_kept_exactly() -> None:
    bitmap = np.random.default_rng(0).random((112, 57)) < 0.5
    assert (to_patch(bitmap, 112) == bitmap * 255).all()


def test_a_large_mask_agrees_with_pillows_box_filter() -> None:
    bitmap = np.asarray(Image.radial_gradient("L").resize((517, 301))) < 100
    image = Image.fromarray(bitmap.astype(np.uint8) * np.uint8(255))
    expected = np.asarray(image.resize((112, 112), Image.Resampling.BOX))
    patch = to_patch(bitmap, 112)
    # Pillow's box filter rounds its edges to whole pixels: the outline differs a little, the area does not.
    assert np.abs(patch.astype(int) - expected).mean() < 3
    assert patch.mean() / 255 == pytest.approx(bitmap.mean(), abs=1e-3)


@pytest.mark.parametrize("shape", [(0, 0), (0, 200), (200, 0)])
def test_empty(shape: tuple[int, int]) -> None:
    assert to_patch(np.zeros(shape, dtype=bool), 112).size == 0


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    st.tuples(st.integers(-24, 40), st.integers(-24, 40), st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_any_frame_is_averaged_cell_by_cell(
    bitmap: np.ndarray, frame: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    """Frames in quarters of a pixel, partly or wholly outside, where all is 0."""
    x, y, w, h = frame
    fine = np.pad(np.repeat(np.repeat(bitmap, 4, axis=0), 4, axis=1), 120).astype(np.float64)
    cut = fine[y + 120 : y + 120 + h, x + 120 : x + 120 + w]
    for values in (bitmap, bitmap * np.uint8(100)):
        patch = resample_patch(values, (x / 4, y / 4, (x + w) / 4, (y + h) / 4), size)
        expected = by_definition(cut, *size) * (1 if values.dtype == bool else 100 / 255)
        assert np.abs(patch - expected).max() <= 0.5 + 1e-3
