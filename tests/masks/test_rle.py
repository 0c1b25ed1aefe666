import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as truth

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Crop, Masks, crop_of, decode, encode

MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def dense(crop: Crop, size: tuple[int, int]) -> np.ndarray:
    return Masks([crop], size).dense()[0]


@settings(max_examples=300)
@given(MASKS)
def test_encode_writes_what_pycocotools_writes(mask: np.ndarray) -> None:
    expected = truth.encode(np.asfortranarray(mask.astype(np.uint8)))
    for crop in (crop_of(mask), Crop(mask, 0, 0)):
        rle = encode(crop, mask.shape)
        assert rle["size"] == list(mask.shape)
        assert rle["counts"] == expected["counts"].decode()


@settings(max_examples=300)
@given(MASKS)
def test_decode_reads_what_pycocotools_writes(mask: np.ndarray) -> None:
    compressed = truth.encode(np.asfortranarray(mask.astype(np.uint8)))
    flat = np.concatenate(([0], mask.ravel(order="F"), [2]))
    runs = np.diff(np.flatnonzero(np.diff(flat.astype(np.int8)) != 0), prepend=0)
    uncompressed = runs.tolist() if not mask[0, 0] else [0, *runs[1:].tolist()]
    for counts in (compressed["counts"], compressed["counts"].decode(), uncompressed):
        crop = decode({"size": list(mask.shape), "counts": counts})
        assert (dense(crop, mask.shape) == mask).all()
        assert crop.bitmap.shape == crop.tight().bitmap.shape


RUNS = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**15)), max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**29), RUNS)
def test_runs_of_any_length_are_unpacked(before: int, runs: list[int]) -> None:
    """The compressed string against the list that pycocotools made it from: numbers of one to six characters."""
    runs = [before, *runs]
    size = [sum(runs), 1]
    packed = truth.frPyObjects({"size": size, "counts": runs}, *size)["counts"]
    expected, found = decode({"size": size, "counts": runs}), decode({"size": size, "counts": packed})
    assert (found.x, found.y, found.bitmap.shape) == (expected.x, expected.y, expected.bitmap.shape)
    assert (found.bitmap == expected.bitmap).all()


@pytest.mark.parametrize("value", [False, True])
def test_nothing_and_everything(value: bool) -> None:
    mask = np.full((5, 7), value)
    assert (dense(decode(encode(crop_of(mask), (5, 7))), (5, 7)) == mask).all()


def test_runs_of_zero_length_are_read() -> None:
    crop = decode({"size": [2, 3], "counts": [1, 2, 0, 1, 2, 0, 0]})
    assert dense(crop, (2, 3)).ravel(order="F").tolist() == [False, True, True, True, False, False]


def test_a_small_mask_in_a_huge_image_costs_little() -> None:
    size = (40_000, 50_000)
    crop = Crop(np.ones((3, 2), dtype=bool), 49_000, 39_990)
    again = decode(encode(crop, size))
    assert (again.x, again.y) == (49_000, 39_990)
    assert (again.bitmap == crop.bitmap).all()


@pytest.mark.parametrize(
    ("size", "counts", "told"),
    [
        ([3, 4], [3, 4], "found 7"),
        ([3, 4], [13], "found 13"),
        ([3, 4], [], "found 0"),
        ([3, 4], [-1, 13], "negative"),
        ([3, 4], [6.5, 5.5], "whole numbers"),
        ([3, 4], ["a"], "whole numbers"),
        ([3, 4], None, "malformed"),
        ([3, 4], "oooo", "malformed"),
        ([3, 4], "é", "malformed"),
        ([3, 4], b"\xff\xff", "malformed"),
        ([3, 4], "o" * 40, "malformed"),
        ([3, 4], "o" * 9 + "0", "malformed"),
        ([3, 4], "P", "malformed"),
        ([3, 4], "3 9", "malformed"),
        ([3, 4], "N<", "none negative"),
        ([3, 4], "", "found 0"),
        ([3, 4], [2**63, 1], "malformed"),
        ([3], [3], "size"),
        ([-3, 4], [12], "size"),
        ([3.0, 4.0], [12], "size"),
        (None, [12], "size"),
        ([10**6, 10**6], [10**12], "at most"),
    ],
)
def test_malformed_rle_is_one_clear_error(size: object, counts: object, told: str) -> None:
    with pytest.raises(MaskRCNNError, match=told):
        decode({"size": size, "counts": counts})


def test_a_mask_outside_the_image_is_refused() -> None:
    with pytest.raises(MaskRCNNError, match="inside the 4 x 3 image"):
        encode(Crop(np.ones((2, 2), dtype=bool), 3, 0), (3, 4))
