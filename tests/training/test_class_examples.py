"""What a look at the labels says before a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.training.class_examples import check_examples


def dataset(*images: list[tuple[int, bool]], names: tuple[str, ...] = ("a", "b", "c")) -> Dataset:
    """Images with objects of (label, crowd)."""
    crop = Crop(np.ones((4, 4), bool), 1, 1)
    annotations = [
        [Annotation(n, label, crowd, None, None, crop) for n, (label, crowd) in enumerate(i)] for i in images
    ]
    records = [ImageRecord(number, Path(f"{number}.png"), 10, 10) for number in range(len(images))]
    return Dataset(Labels(names, records, StoredAnnotations(annotations)))


def test_every_class_seen_says_nothing() -> None:
    assert check_examples(dataset([(0, False)], [], [(2, False), (1, False)])) == []


def test_missing_classes_are_one_line_and_crowds_are_no_examples() -> None:
    (line,) = check_examples(dataset([(0, False)], [(1, True)]))
    assert "no example in the training images of: b, c" in line


def test_the_look_ends_with_the_last_class() -> None:
    def read(index: int, record: ImageRecord) -> tuple[list[Annotation], list[object]]:
        assert index < 2, "looked on"
        return [Annotation(1, index, False, None, None, Crop(np.ones((4, 4), bool), 1, 1))], []

    records = [ImageRecord(number, Path(f"{number}.png"), 10, 10) for number in range(1000)]
    assert check_examples(Dataset(Labels(("a", "b"), records, read))) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("images", [([], []), ([(0, True)],)])
def test_nothing_to_learn_is_an_error(images: tuple[list[tuple[int, bool]], ...]) -> None:
    with pytest.raises(MaskRCNNError, match=r"none of the \d training images .*nothing to learn.*doctor"):
        check_examples(dataset(*images))
