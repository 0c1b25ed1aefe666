"""Shared cases of image files: suffixes, and 16-bit TIFF."""

from __future__ import annotations

from pathlib import Path

from maskrcnn import open_dataset
from maskrcnn.predict.sources import resolve_sources


def test_predict_folder_other_suffixes(case: Path) -> None:
    found = resolve_sources([case / "data"])
    assert [source.name for source in found.images] == sorted(file.name for file in (case / "data").iterdir())
    assert len(found.images) == 6
    assert not found.problems


def test_yolo_jfif_silent(case: Path) -> None:
    dataset = open_dataset(case / "data", "train")
    assert [record.path.name for record in dataset.records] == ["a.png", "b.jfif"]
    assert [len(dataset.objects(index).labels) for index in range(2)] == [2, 2]
    assert dataset.pixels(1).shape[:2] == dataset.records[1].size
