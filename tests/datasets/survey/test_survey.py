"""The numbers of a data set, against counts and lengths worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.survey import network_scale, quantiles, summary, survey_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop


def boxed(number: int, label: int, box: tuple[float, float, float, float], crowd: bool = False) -> Annotation:
    return Annotation(number, label, crowd, box, None, None)


def masked(number: int, label: int, width: int, height: int) -> Annotation:
    crop = Crop(np.ones((height, width), dtype=bool), 3, 4)
    return Annotation(number, label, False, crop.box, None, crop)


@pytest.fixture
def data() -> Dataset:
    """A cat of 8 x 2 with a mask; a cat of 10 x 40 as a box and a crowd; no object."""
    records = [
        ImageRecord(1, Path("a.png"), 100, 200),
        ImageRecord(2, Path("b.png"), 50, 40),
        ImageRecord(3, Path("c.png"), 100, 200),
    ]
    annotations = [
        [masked(1, 1, 8, 2)],
        [boxed(2, 1, (0, 0, 10, 40)), boxed(3, 0, (0, 0, 30, 30), crowd=True)],
        [],
    ]
    return Dataset(Labels(["dog", "cat"], records, StoredAnnotations(annotations)))


def test_objects_are_counted_and_measured(data: Dataset) -> None:
    found = survey_dataset(data)
    assert found.counts.toarray().tolist() == [[0, 1], [0, 1], [0, 0]]
    assert found.crowds.tolist() == [0, 1, 0]
    assert found.sides.tolist() == [[8, 2], [10, 40]]
    assert found.masked.tolist() == [True, False]
    assert found.size.tolist() == [4, 20]
    assert found.ratio.tolist() == [0.25, 4]
    assert (found.read.all(), found.problems) == (True, ())


def test_the_summary(data: Dataset) -> None:
    # The short edges 100 and 40 both become 80.
    numbers = summary(survey_dataset(data), Preprocess(short=(80, 80), long=400))
    assert numbers["images"] == 3
    assert numbers["images_without_objects"] == 1
    assert (numbers["objects"], numbers["objects_with_mask"], numbers["crowd_regions"]) == (2, 1, 1)
    assert numbers["quantiles"][3] == 0.5
    assert numbers["size_in_image"][3] == 12
    assert numbers["size_in_network"][0] == pytest.approx(4 * 0.8)
    assert numbers["size_in_network"][-1] == pytest.approx(20 * 2)
    assert numbers["height_over_width"][0] == 0.25
    assert numbers["image_width"][0] == 40
    assert numbers["classes"] == [
        {"name": "dog", "objects": 0, "images": 0, "median_size": None},
        {"name": "cat", "objects": 2, "images": 2, "median_size": 12.0},
    ]


def test_an_unreadable_image_is_told_and_the_others_counted(data: Dataset) -> None:
    class Reader(StoredAnnotations):
        def __call__(self, index, record):  # type: ignore[no-untyped-def]
            if index == 1:
                raise MaskRCNNError("truncated", where=record.path)
            return super().__call__(index, record)

    broken = Dataset(Labels(data.names, data.records, Reader(data.labels.reader.annotations)))  # type: ignore[attr-defined]
    steps: list[int] = []
    found = survey_dataset(broken, lambda: steps.append(1))
    assert found.read.tolist() == [True, False, True]
    assert [str(problem) for problem in found.problems] == ["b.png: dropped, truncated"]
    assert len(steps) == 3
    numbers = summary(found, Preprocess())
    assert (numbers["images"], numbers["images_unreadable"], numbers["images_without_objects"]) == (2, 1, 1)


def test_data_without_images_or_objects() -> None:
    found = survey_dataset(Dataset(Labels(["cat"], [], StoredAnnotations([]))))
    numbers = summary(found, Preprocess())
    assert (numbers["images"], numbers["objects"], numbers["size_in_image"][0]) == (0, 0, None)


def test_the_scale_of_each_image_is_the_models() -> None:
    # The short edge becomes 100, unless the long one would pass 150.
    scale = network_scale(np.array([[50, 60], [200, 200], [50, 100], [50, 60]]), Preprocess((100, 100), 150))
    assert scale.tolist() == [2, 0.5, 1.5, 2]


def test_quantiles() -> None:
    assert quantiles(np.array([1, 2, 3, 4, 5]), (0, 0.5, 1)) == [1, 3, 5]
    assert quantiles(np.array([]), (0, 1)) == [None, None]
