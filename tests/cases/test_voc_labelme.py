"""VOC, labelme, CVAT and masks as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from maskrcnn.datasets.conversion.conversion import convert
from maskrcnn.datasets.doctor.examination import examine
from maskrcnn.datasets.formats.format_registry import BY_NAME
from maskrcnn.datasets.open_dataset import open_dataset
from tests.reading import problems_of


def test_mask_int64(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert len(dataset) == 6
    assert problems_of(dataset) == []
    for index, record in enumerate(dataset.records):
        assert record.labels is not None
        ids = tifffile.imread(record.labels)
        assert ids.dtype == "int64"
        objects = dataset.objects(index)
        assert objects.ids.tolist() == [1, 2, 3, 4]
        assert [crop.area for crop in objects.crops if crop] == [int((ids == value).sum()) for value in objects.ids]
    assert not examine(case / "data", workers=0).errors


def test_labelme_ignore(case: Path) -> None:
    dataset = open_dataset(case / "data")
    objects = dataset.objects(0)
    assert dataset.names == ("cat",)
    assert objects.boxes.tolist() == [[10, 10, 60, 50], [70, 10, 110, 70]]
    assert objects.crowd.tolist() == [False, True]
    assert problems_of(dataset) == []


def test_labelme_imagedata_only(case: Path, tmp_path: Path) -> None:
    dataset = open_dataset(case / "data")
    pixels = dataset.pixels(0)
    assert (pixels.shape, dataset.objects(0).boxes.tolist()) == ((80, 120, 3), [[10, 10, 60, 50]])
    assert [problem.check for problem in problems_of(dataset)] == ["embedded-image"]
    assert not examine(case / "data", workers=0).errors
    convert({"": dataset}, tmp_path / "coco", BY_NAME["coco"])
    (written,) = (tmp_path / "coco").rglob("*.png")
    with Image.open(written) as image:
        assert (np.array(image.convert("RGB")) == pixels).all()
    assert open_dataset(tmp_path / "coco").objects(0).boxes.tolist() == [[10, 10, 60, 50]]


def test_labelme_imagepath_names_json(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert [record.path for record in dataset.records] == [case / "data" / "a.png"]
    with Image.open(case / "data" / "a.png") as image:
        assert (np.array(image.convert("RGB")) == dataset.pixels(0)).all()
    assert problems_of(dataset) == []


def test_labelme_oriented_rectangle(case: Path) -> None:
    dataset = open_dataset(case / "data")
    objects = dataset.objects(0)
    assert objects.boxes.tolist() == [[10, 10, 60, 50]] * 3
    assert [crop.area for crop in objects.crops if crop is not None] == [50 * 40] * 3
    assert problems_of(dataset) == []


def test_cvat_skeleton_sublabels(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert dataset.names == ("cat",)
    objects = dataset.objects(0)
    assert objects.labels.tolist() == [0, 0, 0, 0]
    told = {problem.check: problem.what for problem in problems_of(dataset)}
    assert "pose (skeleton), 1 (part of a skeleton), 2 (part of a skeleton)" in told["label-without-area"]
    assert "a skeleton has no area" in told["no-shape"]


def test_voc_class_names_txt(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert dataset.names == ("scratch", "dent")
    objects = dataset.objects(0)
    assert sorted(objects.labels.tolist()) == [0, 1]
    assert problems_of(dataset) == []
