import unicodedata
from pathlib import Path

import pytest

from maskrcnn.data.formats.image_finder import ImageFinder


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


@pytest.mark.parametrize(
    "name",
    ["a b.JPG", "sub/a b.JPG", "C:\\data\\a b.JPG", "..\\a b.JPG", "a b.jpg", "/home/someone/A B.jpg", "./a b.JPG"],
)
def test_a_name_of_another_machine_is_found(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "a b.JPG")
    assert ImageFinder([tmp_path]).find(name) == tmp_path / "a b.JPG"


def test_accents_may_be_encoded_in_either_way(tmp_path: Path) -> None:
    touch(tmp_path / unicodedata.normalize("NFD", "café.png"))
    found = ImageFinder([tmp_path]).find(unicodedata.normalize("NFC", "café.png"))
    assert found is not None
    assert found.name == unicodedata.normalize("NFD", "café.png")


def test_the_exact_name_wins_and_folders_have_an_order(tmp_path: Path) -> None:
    touch(
        tmp_path / "x" / "a.png", tmp_path / "y" / "a.png", tmp_path / "y" / "A.png", tmp_path / "y" / "sub" / "a.png"
    )
    finder = ImageFinder([tmp_path / "gone", tmp_path / "y", tmp_path / "x"])
    assert finder.find("a.png") == tmp_path / "y" / "a.png"
    assert finder.find("A.png") == tmp_path / "y" / "A.png"
    assert finder.find("sub/a.png") == tmp_path / "y" / "sub" / "a.png"


@pytest.mark.parametrize("name", ["", "b.png", "a\0.png", "x" * 5000 + ".png", ".", "a"])
def test_what_is_not_there_is_none(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "a.png")
    assert ImageFinder([tmp_path]).find(name) is None
