"""Data sets used together: classes by name, images of all, objects of those classes that are kept."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.combine import combined
from maskrcnn.datasets.conversion.conversion import convert
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.format_registry import BY_NAME
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from tests.data_folders import write_map
from tests.reading import lost, problems_of


def data(names: list[str], *images: list[int], problems: list[Problem] | None = None) -> Dataset:
    """Images with one 2 x 2 object of each label; the annotation's id is 10 * image + place."""
    annotations = [
        [
            Annotation(10 * row + place, label, False, None, None, Crop(np.ones((2, 2), bool), place, 0))
            for place, label in enumerate(labels)
        ]
        for row, labels in enumerate(images)
    ]
    records = [ImageRecord(row, Path(f"{names[0]}{row}.png"), 8, 8) for row in range(len(images))]
    return Dataset(Labels(names, records, StoredAnnotations(annotations), problems or []))


def shown(dataset: Dataset) -> list[list[str]]:
    return [[dataset.names[label] for label in dataset.objects(i).labels] for i in range(len(dataset))]


def test_classes_are_united_by_name() -> None:
    both = combined([data(["cat", "dog"], [0, 1], []), data(["dog", "owl"], [0], [1, 1])])
    assert both.names == ("cat", "dog", "owl")
    assert shown(both) == [["cat", "dog"], [], ["dog"], ["owl", "owl"]]
    assert [record.id for record in both.records] == [1, 2, 3, 4]
    assert [record.path.name for record in both.records] == ["cat0.png", "cat1.png", "dog0.png", "dog1.png"]


def test_only_some_classes_are_kept_and_no_image_is_lost() -> None:
    both = combined([data(["cat", "dog"], [0, 1], [0]), data(["owl"], [0])], classes=["dog"])
    assert both.names == ("dog",)
    assert shown(both) == [["dog"], [], []]
    with pytest.raises(MaskRCNNError, match="'fox', only cat, dog"):
        combined([data(["cat", "dog"], [0])], classes=["fox"])


def test_renaming_may_merge_classes() -> None:
    one = combined([data(["cat", "dog", "owl"], [0, 1, 2])], [["pet", "pet", "owl"]])
    assert one.names == ("pet", "owl")
    assert shown(one) == [["pet", "pet", "owl"]]


def test_problems_of_all_are_told_once() -> None:
    early = Problem("missing-image", "a.png", "gone", images_lost=1)
    empty = StoredAnnotations([[Annotation(7, 0, False, None, None, Crop(np.zeros((0, 0), bool), 0, 0))]])
    broken = Dataset(data(["cat"], [0], problems=[early]).labels._replace(reader=empty))
    both = combined([broken, data(["cat"], [0])])
    for _ in range(2):
        assert [len(both.objects(i).labels) for i in range(2)] == [0, 1]
    assert lost(both) == (1, 1)
    assert [problem.check for problem in problems_of(both)] == ["missing-image", "empty-mask"]


def test_many_classes_cost_no_more_than_their_number(tmp_path: Path) -> None:
    """Looked up one by one in lists, 40,000 names took minutes."""
    names = [f"class {number}" for number in range(40_000)]
    write_map(tmp_path / "one", "cat")
    record = replace(open_dataset(tmp_path / "one").records[0], id=0)
    crop = Crop(np.ones((2, 2), bool), 0, 0)
    source = Dataset(Labels(names, [record], StoredAnnotations([[Annotation(1, 39_999, False, None, None, crop)]])))
    start = time.perf_counter()
    both = combined([source, source], [names, names[::-1]], names[1:])
    convert({"train": source}, tmp_path / "new", BY_NAME["coco"])
    again = open_dataset(tmp_path / "new")
    assert time.perf_counter() - start < 10
    assert shown(both) == [["class 39999"], []]
    assert shown(again) == [["class 39999"]]
