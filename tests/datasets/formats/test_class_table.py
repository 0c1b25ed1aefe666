from pathlib import Path

import pytest

from maskrcnn.annotations.problem import DataError
from maskrcnn.datasets.formats.class_table import names_of, read_names, read_table
from maskrcnn.errors import MaskRCNNError


def test_a_table_by_hand(tmp_path: Path) -> None:
    text = "image,object,class,crowd\r\na,1,cat,0\r\na,2, hot dog ,1\r\nb c,300,cat,\r\n"
    (tmp_path / "classes.csv").write_text(text, encoding="utf-8-sig", newline="")
    table, problems = read_table(tmp_path)
    labels = {"cat": 0, "hot dog": 1}
    assert problems == []
    assert [table.of("a", "1", labels), table.of("a", "2", labels), table.of("b c", "300", labels)] == [
        (0, False), (1, True), (0, False),
    ]  # fmt: skip
    assert names_of(tmp_path, []) == ["cat", "hot dog"]
    with pytest.raises(DataError, match="no row for object 3 of image a"):
        table.of("a", "3", labels)
    with pytest.raises(DataError, match="no class 'hot dog'"):
        table.of("a", "2", {"cat": 0})


def test_no_table_is_one_class(tmp_path: Path) -> None:
    table, problems = read_table(tmp_path)
    assert (table.of("a", "1", {"x": 0}), problems) == ((0, False), [])
    assert names_of(tmp_path, []) == ["object"]
    (tmp_path / "names.txt").write_text("\ufeffcell\r\nrest\r\n", encoding="utf-8")
    assert names_of(tmp_path, []) == ["cell"]
    assert read_names(tmp_path / "train") == ["cell", "rest"]


def test_splits_agree_on_the_classes(tmp_path: Path) -> None:
    for split, name in (("train", "dog"), ("val", "cat")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "classes.csv").write_text(f"image,object,class\na,1,{name}\n")
    siblings = [tmp_path / "train", tmp_path / "val"]
    assert names_of(siblings[0], siblings) == names_of(siblings[1], siblings) == ["cat", "dog"]
    (tmp_path / "names.txt").write_text("owl\ndog\ncat\n")
    assert names_of(siblings[0], siblings) == ["owl", "dog", "cat"]


def test_an_incomplete_line_is_told_and_the_rest_survives(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("image,object,class\na,1,\na\n\na,2,cat\n")
    table, problems = read_table(tmp_path)
    assert table.of("a", "2", {"cat": 0}) == (0, False)
    assert [problem.where.rsplit(", ", 1)[1] for problem in problems] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("text", "told"),
    [(b"image,class\n", "found image, class"), (b"", "found nothing"), (b"image,object,class\n\xff,1,a\n", "UTF-8")],
)
def test_another_file_is_one_error(tmp_path: Path, text: bytes, told: str) -> None:
    (tmp_path / "classes.csv").write_bytes(text)
    with pytest.raises(MaskRCNNError, match=told):
        read_table(tmp_path)
