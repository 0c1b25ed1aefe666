import time
import unicodedata
from pathlib import Path

import pytest

from maskrcnn.annotations.problem import DataError
from maskrcnn.datasets.formats.image_finder import ImageFinder, means, spellings


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


@pytest.mark.parametrize(
    "name",
    [
        "my%20image%20%231.png",
        "http://host/data/my%20image%20%231.png?download=1",
        "s3://bucket/my image #1.png",
        "/data/local-files/?d=somewhere/my%20image%20%231.png",
        "my image #1.png?raw=true",
        "D:\\shots\\MY IMAGE #1.PNG",
        "file:///home/user/my%20image%20%231.png#top",
    ],
)
def test_what_a_name_means_as_a_url(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "my image #1.png")
    assert ImageFinder([tmp_path]).find(name) == tmp_path / "my image #1.png"
    assert means(name, tmp_path / "my image #1.png")
    assert not means(name, tmp_path / "my image #2.png")


def test_a_name_as_it_is_written_comes_first(tmp_path: Path) -> None:
    touch(tmp_path / "a%20b.png", tmp_path / "a b.png")
    assert ImageFinder([tmp_path]).find("a%20b.png") == tmp_path / "a%20b.png"


def test_leading_folders_are_dropped_until_a_file_fits(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "train" / "a.png", tmp_path / "images" / "val" / "a.png")
    finder = ImageFinder([tmp_path], root=tmp_path)
    for name in ("data/images/train/a.png", "/home/user/x/images/train/a.png", "E:\\x\\Train\\A.png", "train/a.png"):
        assert finder.find(name) == tmp_path / "images" / "train" / "a.png"
    # Of the base name alone nothing follows where other files than images may lie.
    touch(tmp_path / "masks" / "b.png")
    assert finder.find("b.png") is None
    assert finder.find("other/b.png") is None


TWINS = ["D:\\cam1\\1.png", "D:\\cam2\\1.png"]


def test_a_base_name_that_entries_share_is_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path / "1.png", tmp_path / "2.png")
    finder = ImageFinder([tmp_path], [*TWINS, "D:\\cam2\\2.png", "D:\\cam2\\2.png"], [tmp_path])
    for name in TWINS:
        with pytest.raises(DataError, match=r"no file D:.cam.*1\.png in .*ambiguous"):
            finder.found(name)
    # The same entry twice is one image.
    assert finder.find("D:\\cam2\\2.png") == tmp_path / "2.png"
    touch(tmp_path / "cam1" / "1.png")
    finder = ImageFinder([tmp_path], TWINS, [tmp_path])
    assert [finder.find(name) for name in TWINS] == [tmp_path / "cam1" / "1.png", None]


def test_a_base_name_of_two_files_is_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path / "cam1" / "1.png", tmp_path / "cam2" / "1.png", tmp_path / "cam2" / "2.png")
    finder = ImageFinder([tmp_path], ["1.png", "x/2.png"], [tmp_path])
    with pytest.raises(DataError, match=r"ambiguous: it may be .*cam1.1.png or .*cam2.1.png"):
        finder.found("1.png")
    assert finder.find("x/2.png") == tmp_path / "cam2" / "2.png"
    assert finder.find("x/cam2/1.png") == tmp_path / "cam2" / "1.png"


def test_pictures_of_other_splits_are_no_substitute(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "val2017" / "1.png", tmp_path / "images" / "sub" / "2.png")
    finder = ImageFinder([tmp_path], ["1.png", "2.png"], [tmp_path / "images"], split="train")
    assert finder.find("1.png") is None
    assert finder.find("2.png") == tmp_path / "images" / "sub" / "2.png"
    touch(tmp_path / "images" / "valid" / "3.png", tmp_path / "images" / "test" / "4.png")
    finder = ImageFinder([tmp_path], [], [tmp_path / "images"], split="validation")
    assert [finder.find(f"{n}.png") is not None for n in (1, 3, 4)] == [True, True, False]


def test_many_files_of_one_name_are_told_apart_in_time(tmp_path: Path) -> None:
    names = [f"/elsewhere/case {n}/image.png" for n in range(3000)]
    touch(*(tmp_path / f"case {n}" / "image.png" for n in range(3000)))
    finder = ImageFinder([tmp_path], names, [tmp_path])
    start = time.perf_counter()
    assert [finder.find(name) for name in names] == [tmp_path / f"case {n}" / "image.png" for n in range(3000)]
    assert time.perf_counter() - start < 10


def test_folders_that_lead_back_to_themselves(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert ImageFinder([tmp_path], [], [tmp_path]).find("x/1.png") == tmp_path / "a" / "1.png"


@pytest.mark.parametrize(
    "name", ["\\\\server\\share\\cam\\a.png", "//server/share/cam/a.png", "\\/server/share/cam/a.png"]
)
def test_a_path_on_a_server_is_looked_for_below_the_folders_alone(tmp_path: Path, name: str) -> None:
    assert not any(spelling.startswith(("\\", "/")) for spelling in spellings(name))
    touch(tmp_path / "cam" / "a.png")
    assert ImageFinder([tmp_path], trees=[tmp_path]).found(name) == tmp_path / "cam" / "a.png"
