import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.datasets import manifest
from maskrcnn.datasets import open_dataset as opening
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.data_folders import coco, idmasks, image
from tests.reading import lost, problems_of

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def test_coco_beside_its_folders(tmp_path: Path) -> None:
    coco(tmp_path / "train.json", tmp_path / "train", 3)
    coco(tmp_path / "val.json", tmp_path / "val", 2)
    assert len(open_dataset(tmp_path, "train")) == 3
    assert len(open_dataset(tmp_path, "val")) == 2
    assert open_dataset(tmp_path, "val").objects(0).boxes.tolist() == [[1, 1, 4, 4]]


@pytest.mark.parametrize("images", ["train2017", "images/train2017", "images"])
def test_coco_as_published(tmp_path: Path, images: str) -> None:
    coco(tmp_path / "annotations" / "instances_train2017.json", tmp_path / images, 3)
    coco(tmp_path / "annotations" / "instances_val2017.json", tmp_path / images.replace("train", "val"), 2)
    (tmp_path / "annotations" / "captions_train2017.json").write_text("{}")
    (tmp_path / "annotations" / "person_keypoints_val2017.json").write_text("{}")
    assert len(open_dataset(tmp_path, "train")) == 3
    assert len(open_dataset(tmp_path, "val")) == 2


def test_one_json_a_split_folder(tmp_path: Path) -> None:
    coco(tmp_path / "train" / "_annotations.coco.json", tmp_path / "train", 3)
    coco(tmp_path / "valid" / "_annotations.coco.json", tmp_path / "valid", 2)
    coco(tmp_path / "test" / "_annotations.coco.json", tmp_path / "test", 4)
    assert [len(open_dataset(tmp_path, s)) for s in ("train", "val", "valid", "test")] == [3, 2, 2, 4]


@pytest.mark.parametrize("images", [".", "images", "photos"])
def test_a_json_file_finds_its_images(tmp_path: Path, images: str) -> None:
    coco(tmp_path / "photos.json", tmp_path / images, 2)
    assert len(open_dataset(tmp_path / "photos.json")) == 2
    assert len(open_dataset(tmp_path)) == 2
    assert len(open_dataset(tmp_path, "train")) == 2


def test_one_json_in_annotations(tmp_path: Path) -> None:
    coco(tmp_path / "annotations" / "instances_default.json", tmp_path / "images" / "default", 2)
    assert len(open_dataset(tmp_path)) == 2


def test_id_masks(tmp_path: Path) -> None:
    idmasks(tmp_path / "whole", 2)
    idmasks(tmp_path / "parts" / "train", 3)
    idmasks(tmp_path / "parts" / "validation", 1)
    assert len(open_dataset(tmp_path / "whole")) == 2
    assert len(open_dataset(tmp_path / "parts", "train")) == 3
    assert len(open_dataset(tmp_path / "parts", "val")) == 1


def test_splits_are_asked_for_and_found(tmp_path: Path) -> None:
    idmasks(tmp_path / "parts" / "train")
    assert Source(tmp_path / "parts").has("train")
    assert not Source(tmp_path / "parts").has("val")
    assert len(open_dataset(tmp_path / "parts")) == 1
    with pytest.raises(MaskRCNNError, match="expected a split named 'val', found train"):
        open_dataset(tmp_path / "parts", "val")
    idmasks(tmp_path / "parts" / "test")
    assert Source(tmp_path / "parts").has("val")
    with pytest.raises(MaskRCNNError, match=r"the splits train, test \(say which"):
        open_dataset(tmp_path / "parts")
    idmasks(tmp_path / "whole")
    assert Source(tmp_path / "whole").has("train")
    assert not Source(tmp_path / "whole").has("val")
    with pytest.raises(MaskRCNNError, match="found one set without splits"):
        open_dataset(tmp_path / "whole", "val")


def test_unknown_folders_say_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    image(tmp_path / "photos" / "a.jpg")
    (tmp_path / "notes.txt").touch()
    for place, found in (("empty", "an empty folder"), ("photos", "a.jpg with 1 image"), ("notes.txt", "notes.txt")):
        with pytest.raises(MaskRCNNError, match=rf"{place}: expected COCO .* id masks .*; found .*{found}"):
            open_dataset(tmp_path / place)
    for function in (open_dataset, lambda path: Source(path).has("train")):
        with pytest.raises(MaskRCNNError, match="no such file or folder"):
            function(tmp_path / "gone")


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real data beside the repository")
@pytest.mark.parametrize(
    ("name", "train", "val"),
    [("nuclei", 439, 112), ("coco_mini", 470, 60), ("pennfudan", 70, 0), ("balloon", 61, 13), ("mushroom", 78, 6)],
)
def test_real_folders(name: str, train: int, val: int) -> None:
    dataset = open_dataset(SHARED / name, "train")
    # Mushroom comes from Roboflow, with a category above its classes.
    assert [problem.check for problem in problems_of(dataset)] == ["root-category"] * (name == "mushroom")
    assert (len(dataset), lost(dataset)[1]) == (train, 0)
    assert Source(SHARED / name).has("val") == bool(val)
    if val:
        assert len(open_dataset(SHARED / name, "val")) == val


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often a folder's format is looked for and a YAML is read, by the name of the folder or file."""
    found: Counter[str] = Counter()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *args: Any, **kwargs: Any) -> Any:
            found[path.name] += 1
            return function(path, *args, **kwargs)

        return call

    monkeypatch.setattr(opening, "detect", counted(opening.detect))
    monkeypatch.setattr(manifest, "read_yaml", counted(manifest.read_yaml))
    return found


def test_a_folder_is_looked_at_once_for_all_its_splits(tmp_path: Path, looks: Counter[str]) -> None:
    for split in ("train", "val", "test"):
        idmasks(tmp_path / "data" / split)
    found = Source(tmp_path / "data")
    assert [len(found.open(split)) for split in ("train", "val", "test")] == [1, 1, 1]
    assert found.has("test")
    assert looks == {"data": 1}


def test_a_manifest_and_each_of_its_places_are_looked_at_once(tmp_path: Path, looks: Counter[str]) -> None:
    for split in ("train", "val"):
        idmasks(tmp_path / "own" / split)
        idmasks(tmp_path / "other" / split)
    (tmp_path / "own" / "data.yaml").write_text("train: [., ../other]\nval: [., ../other]\nnames: [owl]\n")
    train, val = Source(tmp_path / "own").open_for_training()
    assert val is not None
    assert (len(train), len(val)) == (2, 2)
    assert looks == {"data.yaml": 1, "own": 1, "other": 1}


def test_a_split_that_nobody_named_is_replaced_aloud(tmp_path: Path) -> None:
    def opened(place: str, wanted: str) -> tuple[str, list[tuple[str, str]]]:
        name, dataset = Source(tmp_path / place).open_or_whole(wanted)
        return name, [(problem.severity, problem.what.split(";")[0]) for problem in dataset.problems]

    for place in ("both/train", "both/val", "first/train", "last/val", "whole", "valley", "several/train"):
        idmasks(tmp_path / place)
    idmasks(tmp_path / "several" / "test")
    shutil.move(tmp_path / "several" / "train", tmp_path / "several" / "training")
    assert opened("both", "val") == ("val", [])
    assert opened("both", "train") == ("train", [])
    assert opened("first", "val") == ("train", [("warning", "there is no val split, the train split is used")])
    assert opened("last", "train") == ("val", [("note", "there is no train split, the val split is used")])
    assert opened("whole", "val") == ("", [("warning", "there is no val split, all of the data is used")])
    assert opened("valley", "val") == ("", [("warning", "there is no val split, all of the data is used")])
    assert opened("whole", "train") == ("", [])
    assert opened("both/val", "val") == ("", [])  # it is called so
    assert opened("both/train", "val") == ("", [("warning", "there is no val split, all of the data is used")])
    assert opened("several", "val") == ("val", [])  # test stands for it
    with pytest.raises(MaskRCNNError, match="expected a split named 'val', found train"):
        Source(tmp_path / "first").open("val")


def test_data_without_splits_asked_for_train_says_that_all_of_it_is(tmp_path: Path) -> None:
    idmasks(tmp_path)
    (problem,) = open_dataset(tmp_path, "train").problems
    assert (problem.severity, problem.check) == ("note", "no-validation")
    assert "all of it counts as train" in problem.what
    assert open_dataset(tmp_path).problems == ()


def test_test_is_not_val(tmp_path: Path) -> None:
    for split in ("train", "val"):
        idmasks(tmp_path / split)
    with pytest.raises(MaskRCNNError, match="expected a split named 'test', found train, val"):
        open_dataset(tmp_path, "test")


def test_images_that_are_trained_and_measured_on_are_told(tmp_path: Path) -> None:
    idmasks(tmp_path / "a", 3)
    idmasks(tmp_path / "b", 2)
    file = tmp_path / "data.yaml"
    file.write_text("train: [a]\nval: [b]\n")
    _, val = Source(file).open_for_training()
    assert val is not None
    assert val.problems == ()
    file.write_text("train: [a]\nval: [a, b]\n")
    _, val = Source(file).open_for_training()
    assert val is not None
    (problem,) = val.problems
    assert (problem.check, problem.severity) == ("leak", "warning")
    assert "3 of 5 images of the val split are trained on as well" in problem.what
    file.write_text("train: [a]\n")
    assert Source(file).open_for_training()[1] is None
