import subprocess
import sys

import numpy as np
import pytest
from pycocotools import mask as truth

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Crop, Masks, crop_of, paste_mask

SIZE = (20, 30)


@pytest.fixture
def dense() -> np.ndarray:
    return np.random.default_rng(0).random((5, *SIZE)) < 0.3


@pytest.fixture
def masks(dense: np.ndarray) -> Masks:
    return Masks([crop_of(mask) for mask in dense], SIZE)


@pytest.fixture
def pasted() -> Masks:
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 10, (5, 2))
    boxes = np.concatenate([start, start + rng.uniform(3, 12, (5, 2))], axis=1)
    return Masks.from_probs(rng.random((5, 7, 7)), boxes, SIZE)


def test_dense_area_and_rle_tell_the_same_masks(masks: Masks, dense: np.ndarray) -> None:
    assert (masks.dense() == dense).all()
    assert masks.area().dtype == np.int64
    assert (masks.area() == dense.sum((1, 2))).all()
    assert (truth.decode(masks.rle()).transpose(2, 0, 1) == dense).all()


def test_selection(masks: Masks, dense: np.ndarray) -> None:
    assert len(masks) == 5
    assert isinstance(masks[np.int64(2)], Crop)
    assert masks[-1].area == dense[-1].sum()
    for index in (slice(1, 4), np.array([3, 0]), [3, 0], np.array([True, False, True, True, False]), [], slice(0, 0)):
        chosen = masks[index]
        expected = dense[index if len(np.atleast_1d(np.asarray(index, dtype=object))) else slice(0, 0)]
        assert isinstance(chosen, Masks)
        assert (chosen.dense() == expected).all()
    assert [crop.area for crop in masks] == masks.area().tolist()


def test_probabilities_are_pasted_when_asked_for(pasted: Masks) -> None:
    assert pasted._crops is None
    chosen = pasted[np.array([4, 1])]
    assert chosen._crops is None
    assert len(chosen) == 2
    assert chosen.probs is not None
    assert chosen.boxes is not None
    expected = paste_mask(chosen.probs[0], chosen.boxes[0], SIZE)
    assert (chosen.crops[0].bitmap == expected.bitmap).all()
    assert (chosen.dense() == pasted.dense()[[4, 1]]).all()
    again = pasted[[2]]
    assert again.crops[0] is pasted.crops[2]
    assert len(again.probs) == 1


def test_threshold_and_frame_are_kept_in_a_selection() -> None:
    prob = np.full((1, 7, 7), 0.3, dtype=np.float32)
    box = np.array([[2.4, 2.4, 12.4, 12.4]])
    assert Masks.from_probs(prob, box, SIZE)[:].area()[0] == 0
    low = Masks.from_probs(prob, box, SIZE, threshold=0.25)
    assert low[:].area()[0] == low.area()[0] > 50
    cut = Masks.from_probs(prob + 0.6, box, SIZE, quantize=True)
    assert (cut[:].dense() == cut.dense()).all()
    assert (cut.dense() != Masks.from_probs(prob + 0.6, box, SIZE).dense()).any()


def test_dense_names_the_bytes_and_the_way_out(masks: Masks) -> None:
    needed = 5 * SIZE[0] * SIZE[1]
    assert masks.dense(max_bytes=needed).nbytes == needed
    with pytest.raises(MaskRCNNError, match=r"3,000 bytes.*2,999.*\.rle\(\) or \.crops"):
        masks.dense(max_bytes=needed - 1)


def test_no_masks() -> None:
    for empty in (Masks([], SIZE), Masks.from_probs(np.zeros((0, 28, 28)), np.zeros((0, 4)), SIZE)):
        assert len(empty) == 0
        assert empty.dense().shape == (0, *SIZE)
        assert empty.rle() == []
        assert empty.area().shape == (0,)


def test_shapes_are_checked() -> None:
    with pytest.raises(MaskRCNNError, match=r"found \[2, 7, 7\] and \[3, 4\]"):
        Masks.from_probs(np.zeros((2, 7, 7)), np.zeros((3, 4)), SIZE)


@pytest.mark.parametrize("module", ["maskrcnn.masks", "maskrcnn.images.image_reader"])
def test_runs_without_torch(module: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
