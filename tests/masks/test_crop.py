import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from maskrcnn.masks import Crop, crop_of, encode
from maskrcnn.masks.crop import crop_iou, union

BITMAPS = hnp.arrays(bool, st.tuples(st.integers(0, 9), st.integers(0, 9)))


def test_box_and_area_by_hand() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[2, 3:7] = mask[4, 5] = True
    crop = crop_of(mask)
    assert (crop.x, crop.y, crop.bitmap.shape) == (3, 2, (3, 4))
    assert crop.area == 5
    assert crop.box == (3.0, 2.0, 7.0, 5.0)
    assert Crop(mask, 10, 20).box == (13.0, 22.0, 17.0, 25.0)


def test_empty_mask_has_an_empty_box() -> None:
    for shape in ((0, 0), (4, 0), (5, 5)):
        crop = Crop(np.zeros(shape, dtype=bool), 3, 4)
        assert crop.box == (0.0, 0.0, 0.0, 0.0)
        assert crop.area == 0
        assert crop.tight().bitmap.shape == (0, 0)


@given(BITMAPS, st.integers(0, 5), st.integers(0, 5))
def test_tight_keeps_every_pixel_and_nothing_more(bitmap: np.ndarray, x: int, y: int) -> None:
    crop = Crop(bitmap, x, y)
    tight = crop.tight()
    rows, columns = np.nonzero(bitmap)
    tight_rows, tight_columns = np.nonzero(tight.bitmap)
    assert list(zip(rows + y, columns + x, strict=True)) == list(
        zip(tight_rows + tight.y, tight_columns + tight.x, strict=True)
    )
    if tight.bitmap.size:
        assert tight.bitmap[[0, -1]].any(axis=1).all()
        assert tight.bitmap[:, [0, -1]].any(axis=0).all()


def test_crop_of_is_a_copy() -> None:
    mask = np.ones((3, 3), dtype=np.uint8)
    crop = crop_of(mask)
    mask[:] = 0
    assert crop.bitmap.dtype == bool
    assert crop.area == 9


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_crop_of_takes_any_dtype(dtype: type) -> None:
    mask = np.zeros((3, 4), dtype=dtype)
    mask[1, 2] = 7
    assert crop_of(mask).box == (2.0, 1.0, 3.0, 2.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_mask_iou_equals_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [crop_of(np.pad(rng.random((12, 9)) < 0.5, rng.integers(0, 6, (2, 2)))) for _ in range(2)]
    runs = [encode(mask, (40, 40)) for mask in masks]
    assert abs(crop_iou(*masks) - coco_mask.iou(runs[:1], runs[1:], [0])[0, 0]) < 1e-12


def test_union_of_masks_that_overlap_counts_pixels_once() -> None:
    dot = Crop(np.ones((2, 2), dtype=bool), 20, 10)
    crop = union([dot, dot._replace(x=21), Crop(np.zeros((0, 0), dtype=bool), 0, 0)])
    assert (crop.box, crop.area) == ((20.0, 10.0, 23.0, 12.0), 6)
