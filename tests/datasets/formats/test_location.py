from pathlib import Path

import pytest

from maskrcnn.datasets.formats.location import is_cvat, json_kind


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
