import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.data_folders import coco

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def test_objects_are_drawn_one_by_one_with_their_annotations(tmp_path: Path) -> None:
    coco(tmp_path / "train.json", tmp_path / "train")
    dataset = open_dataset(tmp_path, "train")
    ((annotation, crop, box),) = dataset.drawn(0)[0]
    assert annotation.id == 1
    assert isinstance(annotation.segmentation, list)
    assert crop is not None
    assert box == tuple(dataset.objects(0).boxes[0]) == (1, 1, 4, 4)


def test_half_a_character_in_a_name_is_no_name() -> None:
    """JSON can write half of a pair (\\ud83d), which neither a file nor a terminal takes."""
    data = Dataset(Labels(["cat", json.loads('"a\\ud83db"'), "\U0001f600"], [], StoredAnnotations([])))
    assert data.names == ("cat", "a?b", "\U0001f600")


def test_pixels_as_a_model_takes_them_and_smaller(tmp_path: Path) -> None:
    Image.new("RGB", (101, 61), "red").save(tmp_path / "a.jpg")
    np.save(tmp_path / "b.npy", np.full((61, 101, 5), 7, np.uint16))
    records = [ImageRecord(1, tmp_path / "a.jpg", 61, 101), ImageRecord(2, tmp_path / "b.npy", 61, 101)]
    dataset = Dataset(Labels(["thing"], records, StoredAnnotations([[], []])))
    assert dataset.pixels(0).shape == (61, 101, 3)
    assert dataset.pixels(0, shrink=4).shape == (16, 26, 3)
    five = Preprocess(mean=(0.5,) * 5, std=(0.5,) * 5, depth=16)
    assert dataset.pixels(1, five, shrink=4).shape == (61, 101, 5)
    with pytest.raises(MaskRCNNError, match=r"b\.npy.*1, 3 or 4 channels"):
        dataset.pixels(1)
    other = Dataset(Labels(["thing"], [ImageRecord(1, tmp_path / "a.jpg", 61, 99)], StoredAnnotations([[]])))
    for shrink in (1, 4):
        with pytest.raises(MaskRCNNError, match="the labels are for 61 x 99"):
            other.pixels(0, shrink=shrink)
