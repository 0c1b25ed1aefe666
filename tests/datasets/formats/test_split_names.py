from pathlib import Path

import pytest

from maskrcnn.datasets.formats.split_names import matching_split, split_folders, split_of


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


@pytest.mark.parametrize(
    ("names", "split", "found"),
    [
        (["train", "val"], "val", "val"),
        (["training", "valid"], "train", "training"),
        (["train", "valid"], "Validation", "valid"),
        (["train", "test"], "val", "test"),
        (["train", "val", "test"], "test", "test"),
        (["train", "val"], "test", None),
        (["train"], "val", None),
        (["val"], "train", None),
        ([""], "train", ""),
        ([""], "val", None),
        ([""], "", ""),
        (["batch_1"], "Batch_1", "batch_1"),
    ],
)
def test_which_split_a_name_means(names: list[str], split: str, found: str | None) -> None:
    assert matching_split(names, split) == found
