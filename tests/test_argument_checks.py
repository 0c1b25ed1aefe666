"""Arguments of the wrong type or value, to results and data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks
from maskrcnn.results.result import Result


def result() -> Result:
    boxes = np.array([[1, 1, 5, 5]], dtype=np.float32)
    masks = Masks.from_probs(np.ones((1, 4, 4)), boxes, (8, 9))
    image = np.zeros((8, 9, 3), dtype=np.uint8)
    return Result(boxes, np.ones(1, np.float32), np.zeros(1, np.int64), masks, ("cat",), (8, 9), image)


@pytest.mark.parametrize("path", [None, 5, b"data", "", ["data"], "a\0b", float("nan")])
def test_what_is_no_path(path: Any) -> None:
    for called in (open_dataset, result().save):
        with pytest.raises(MaskRCNNError, match="expected a path, found") as error:
            called(path)
        assert error.value.fix


@pytest.mark.parametrize("split", [1, b"train", ["train"]])
def test_what_is_no_split(tmp_path: Path, split: Any) -> None:
    with pytest.raises(MaskRCNNError, match="split: expected its name"):
        open_dataset(tmp_path, split)


@pytest.mark.parametrize("image_id", ["x", None, 1.5, True])
def test_what_is_no_image_id(image_id: Any) -> None:
    with pytest.raises(MaskRCNNError, match="image_id: expected a whole number"):
        result().to_coco(image_id)
    assert result().to_coco(np.int64(3))[0]["image_id"] == 3


@pytest.mark.parametrize("max_bytes", [-1, "1", None, 2.5, float("nan"), True])
def test_what_is_no_number_of_bytes(max_bytes: Any) -> None:
    with pytest.raises(MaskRCNNError, match="max_bytes: expected a number of bytes"):
        result().masks.dense(max_bytes)
    with pytest.raises(MaskRCNNError, match="max_bytes: expected a number of bytes"):
        result().masks.packed(max_bytes)


@pytest.mark.parametrize("opacity", ["0.5", None, -1, 2, float("nan")])
def test_what_is_no_opacity(opacity: Any) -> None:
    with pytest.raises(MaskRCNNError, match="opacity: expected a number from 0 to 1"):
        result().draw(opacity=opacity)


@pytest.mark.parametrize("image", ["a.png", [[1]], 5, np.zeros((8, 9)), np.zeros((8, 9, 3)), np.zeros(3, np.uint8)])
def test_what_cannot_be_drawn_on(image: Any) -> None:
    with pytest.raises(MaskRCNNError, match="expected an image"):
        result().draw(image)
