from pathlib import Path

import pytest

from maskrcnn.datasets.formats.location import is_cvat, json_kind, split_folders, split_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"info": {}, "images": [], "annotations": [], "categories": []}', "coco"),
        ('\ufeff{"categories" : [{"id": 1}]}', "coco"),
        ('{"version": "5.5.0", "flags": {}, "shapes": [], "imagePath": "a.jpg"}', "labelme"),
        ('{"imageData": "images", "shapes": []}', "labelme"),
        ('{"annotations": [' + "1, " * 40000 + '1], "categories": [{"synset": "a.n.01"}]}', "lvis"),
        ('{"images": [{"neg_category_ids": []}]}', "lvis"),
        ('{"name": "package"}', ""),
        ("[1, 2]", ""),
        ("", ""),
    ],
)
def test_json_files_are_told_apart(tmp_path: Path, text: str, kind: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text, encoding="utf-8")
    assert json_kind(file) == kind


def test_a_missing_json_is_of_no_kind(tmp_path: Path) -> None:
    assert json_kind(tmp_path / "gone.json") == ""


@pytest.mark.parametrize(
    ("text", "is_one"),
    [('<?xml version="1.0"?>\r\n<annotations>', True), ("<annotation><object/>", False), ("<annotationsX>", False)],
)
def test_cvat_is_told_from_voc(tmp_path: Path, text: str, is_one: bool) -> None:
    file = tmp_path / "a.xml"
    file.write_text(text)
    assert is_cvat(file) == is_one


def test_split_folders_in_any_case_and_in_order(tmp_path: Path) -> None:
    for name in ("Test", "valid", "TRAIN", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "val").touch()
    assert list(split_folders(tmp_path).items()) == [
        ("train", tmp_path / "TRAIN"), ("valid", tmp_path / "valid"), ("test", tmp_path / "Test"),
    ]  # fmt: skip
    assert split_folders(tmp_path / "gone") == {}


def test_split_folders_may_have_a_year(tmp_path: Path) -> None:
    for name in ("Val2017", "train2014", "train2017", "train", "test_12"):
        (tmp_path / name).mkdir()
    assert split_folders(tmp_path) == {"train": tmp_path / "train", "val": tmp_path / "Val2017"}


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", "train"),
        ("instances_Train", "train"),
        ("instances_Val2017", "val"),
        ("instances_Validation", "validation"),
        ("lvis_v1_val", "val"),
        ("my-data.valid.coco", "valid"),
        ("TEST", "test"),
        ("image_info_test-dev2017", "test"),
        ("training_set", "training"),
        ("annotations", ""),
        ("retrained", ""),
        ("", ""),
    ],
)
def test_files_named_after_a_split(stem: str, split: str) -> None:
    assert split_of(stem) == split
