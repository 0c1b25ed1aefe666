"""COCO and YOLO data as people and other programs write them: nothing valid is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.doctor.examination import examine
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.reading import lost, problems_of

# The polygon that most cases hold: 50 x 40 pixels from (10, 10).
BOX = [10, 10, 60, 50]


def areas(dataset: Dataset) -> list[list[float]]:
    """Pixels of the objects of each image."""
    return [dataset.objects(i).areas.tolist() for i in range(len(dataset))]  # type: ignore[union-attr]


def errors(folder: Path) -> list[str]:
    """What the doctor calls an error, unless it follows from the case being small."""
    small = {"no-validation", "class-too-rare", "class-without-examples"}
    return [str(f) for f in examine(folder).problems if f.severity == "error" and f.check not in small]


def test_coco_cat_gap_zero(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert dataset.names == ("cat", "dog")
    assert dataset.objects(0).labels.tolist() == [0]
    (problem,) = problems_of(dataset)
    assert (problem.check, problem.severity) == ("root-category", "note")
    assert "'objects'" in problem.what
    assert not any("objects" in f.what for f in examine(case / "data").problems if f.check != "root-category")


def test_coco_cvat_project_subsets(case: Path) -> None:
    assert Source(case / "data").splits == ["train", "validation"]
    for split, name in (("train", "Train.png"), ("val", "Validation.png")):
        dataset = open_dataset(case / "data", split)
        assert [record.path.name for record in dataset.records] == [name]
        assert areas(dataset) == [[2000]]
    assert errors(case / "data") == []


def test_coco_flat_segmentation_str_imageid(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert areas(dataset) == [[2000]]
    assert dataset.objects(0).boxes.tolist() == [BOX]
    assert problems_of(dataset) == []
    assert errors(case / "data") == []


def test_coco_float_ids(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert [record.id for record in dataset.records] == [1]
    assert dataset.objects(0).ids.tolist() == [1]
    assert areas(dataset) == [[2000]]
    assert problems_of(dataset) == []
    assert errors(case / "data") == []


def test_coco_percent(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert [record.path.name for record in dataset.records] == ["my image #1.png"]
    assert problems_of(dataset) == []
    assert errors(case / "data") == []
    assert "unlisted-image" not in examine(case / "data").counts


def test_coco_string_ids(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert areas(dataset) == [[2000]]
    assert problems_of(dataset) == []
    assert errors(case / "data") == []


def test_coco_twin_basenames(case: Path) -> None:
    with pytest.raises(MaskRCNNError, match=r"none of its 2 images can be used.*cam1.*0001\.png.*ambiguous"):
        open_dataset(case / "data")


def test_coco_zero_bbox_with_polygon(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert dataset.objects(0).boxes.tolist() == [BOX]
    assert [(problem.check, problem.severity) for problem in problems_of(dataset)] == [("box-mask-disagree", "warning")]
    assert lost(dataset)[1] == 0
    diagnosis = examine(case / "data")
    assert diagnosis.errors == 0
    assert diagnosis.objects == {"": 1}
    assert diagnosis.counts["box-mask-disagree"] == 1


def opened(case: Path, names: tuple[str, ...], objects: list[list[int]]) -> Dataset:
    """The data of a YOLO case, whose classes and labels are as expected, and in which the doctor finds no error."""
    dataset = open_dataset(case / "data", "train")
    assert dataset.names == names
    assert [dataset.objects(i).labels.tolist() for i in range(len(dataset))] == objects
    assert lost(dataset) == (0, 0)
    assert errors(case / "data") == []
    return dataset


def test_yolo_cvat_train_txt(case: Path) -> None:
    dataset = opened(case, ("cat",), [[0]])
    assert dataset.records[0].path == case / "data" / "images" / "train" / "a.png"


def test_yolo_names_dup(case: Path) -> None:
    dataset = opened(case, ("Car",), [[0]])
    assert [(problem.check, problem.severity) for problem in problems_of(dataset)] == [
        ("duplicate-category", "warning")
    ]
    assert examine(case / "data").counts["duplicate-category"] == 1


def test_yolo_names_norway(case: Path) -> None:
    assert problems_of(opened(case, ("no", "yes"), [[0]])) == []


def test_yolo_names_str(case: Path) -> None:
    assert problems_of(opened(case, ("cat",), [[0]])) == []


def test_yolo_names_strkeys(case: Path) -> None:
    assert problems_of(opened(case, ("cat", "dog"), [[0]])) == []


def test_yolo_pose(case: Path) -> None:
    dataset = opened(case, ("cat",), [[0]])
    assert [(problem.check, problem.severity) for problem in problems_of(dataset)] == [("pose-data", "note")]
    objects, (height, width) = dataset.objects(0), dataset.records[0].size
    assert objects.crops == [None]
    assert objects.boxes.tolist() == [[width / 4, height / 4, width * 3 / 4, height * 3 / 4]]
    assert examine(case / "data").counts["pose-data"] == 1


def test_yolo_subfolders_mixed(case: Path) -> None:
    dataset = opened(case, ("cat",), [[0], [0]])
    assert [record.path.name for record in dataset.records] == ["a.png", "top.png"]


def test_yolo_txt_abs(case: Path) -> None:
    dataset = opened(case, ("cat",), [[0]])
    assert dataset.records[0].path == case / "data" / "images" / "train" / "a.png"
