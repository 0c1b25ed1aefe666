import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.source import has_split, open_dataset, split_names
from maskrcnn.errors import MaskRCNNError
from tests.reading import lost, problems_of

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def image(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path)
    return path.name


def idmasks(folder: Path, count: int = 1) -> None:
    for i in range(count):
        image(folder / "images" / f"{i}.jpg")
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.eye(6, 8, dtype=np.uint8)).save(folder / "masks" / f"{i}.png")


def coco(file: Path, images: Path, count: int = 1, names: tuple[str, ...] = ("cat",)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {"id": i, "file_name": image(images / f"{file.stem}{i}.png"), "height": 6, "width": 8} for i in range(count)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    polygon = [[1, 1, 4, 1, 4, 4]]
    annotations = [{"id": 1, "image_id": 0, "category_id": 0, "segmentation": polygon, "bbox": [1, 1, 3, 3]}]
    file.write_text(json.dumps({"images": entries, "annotations": annotations, "categories": categories}))


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


def test_yaml_names_folders_and_classes(tmp_path: Path) -> None:
    idmasks(tmp_path / "here" / "a", 3)
    coco(tmp_path / "here" / "b.json", tmp_path / "here" / "b", 2)
    coco(tmp_path / "here" / "c.json", tmp_path / "here" / "c", 4)
    file = tmp_path / "data.yaml"
    file.write_text("path: here\ntrain: a\nval: b.json\ntest: c\nnames: {0: nucleus}\n")
    assert len(open_dataset(file, "train")) == 3
    assert open_dataset(file, "train").names == ("nucleus",)
    assert len(open_dataset(file, "val")) == 2
    assert len(open_dataset(file, "test")) == 4
    file.write_text(f"train: {tmp_path / 'here' / 'a'}\n")
    assert len(open_dataset(file)) == 3


def test_a_yaml_in_the_folder_is_used_if_it_names_classes_and_splits(tmp_path: Path) -> None:
    coco(tmp_path / "train.json", tmp_path / "train", 3)
    idmasks(tmp_path / "other", 2)
    file = tmp_path / "my data.yml"
    for ignored in ("epochs: 3\n", "names: [owl]\n", "train: other\n", "- 1\n", "a: [", "\0"):
        file.write_text(ignored)
        assert open_dataset(tmp_path, "train").names == ("cat",)
    file.write_text("train: [other, .]\nnames: [owl]\n")
    dataset = open_dataset(tmp_path)
    assert (len(dataset), dataset.names) == (5, ("owl",))
    assert split_names(tmp_path) == ["train"]
    # A file called data comes first, and is not passed over if it is broken.
    (tmp_path / "data.yaml").write_text("val: other\nnames: !!python/name:os.system\n")
    with pytest.raises(MaskRCNNError, match=r"data\.yaml: not valid YAML: a value of type"):
        open_dataset(tmp_path)
    (tmp_path / "data.yaml").write_text("val: other\nnames: [nucleus]\n")
    assert open_dataset(tmp_path).names == ("nucleus",)
    file.write_text(f"train: {tmp_path}\nnames: [owl]\n")
    (tmp_path / "data.yaml").unlink()
    assert len(open_dataset(tmp_path, "train")) == 3


def test_objects_are_drawn_one_by_one_with_their_annotations(tmp_path: Path) -> None:
    coco(tmp_path / "train.json", tmp_path / "train")
    dataset = open_dataset(tmp_path, "train")
    ((annotation, crop, box),) = dataset.drawn(0)[0]
    assert annotation.id == 1
    assert isinstance(annotation.segmentation, list)
    assert crop is not None
    assert box == tuple(dataset.objects(0).boxes[0]) == (1, 1, 4, 4)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "not valid YAML"),
        ("hello", "found str"),
        ("train: nowhere", "train: .*nowhere: no such file or folder"),
        ("train: whole\nnames: [a, b]", r"expected 1 names .* found \['a', 'b'\]"),
        ("train: whole\nnames: []", "names as a list"),
        ("train: whole\nnames: {0: a, 1: b, 7: c}", r"expected 1 names .* found \['a', 'b', 'c'\]"),
        ("train: {path: whole, split: 5}", "train: expected split as a name, found 5"),
        ("train: {path: whole, rename: {no: yes}}", "takes a name in rename for False, a bool"),
        ("train: whole\nkpt_shape: 17", r"expected kpt_shape as \[keypoints, 2 or 3\], found 17"),
        ("train: whole\nkpt_shape: [1000000000, 3]", "expected kpt_shape"),
        ("train: " + 5000 * "a", "aaa.*: no such file or folder"),
        ("train: '[/x]'", r"x\]: no such file or folder"),
        ("train: whole\nx: 2001-99-99\nnames: {0: *a}", "not valid YAML"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]\ntrain: whole", "names as a list"),
        ("other: whole", "expected a split such as train or val, found other"),
    ],
)
def test_a_wrong_yaml_is_told(tmp_path: Path, text: str, told: str) -> None:
    idmasks(tmp_path / "whole")
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(MaskRCNNError, match=told):
        open_dataset(tmp_path / "data.yaml")


@pytest.mark.parametrize(
    "place",
    ["/home/user/data/whole", "C:\\\\data\\\\whole", "../whole", "data/whole", "./whole", "whole/", ".\\\\whole"],
)
def test_a_place_on_another_machine_is_found_by_its_last_folders(tmp_path: Path, place: str) -> None:
    idmasks(tmp_path / "new" / "whole")
    (tmp_path / "new" / "data.yaml").write_text(f'path: "/elsewhere"\ntrain: "{place}"\n')
    assert len(open_dataset(tmp_path / "new" / "data.yaml")) == 1


def test_splits_of_a_yaml_in_any_case(tmp_path: Path) -> None:
    idmasks(tmp_path / "whole")
    (tmp_path / "data.yaml").write_text("Train: whole\nVALID: whole\nnames: [owl]\n")
    assert split_names(tmp_path) == ["train", "valid"]
    assert open_dataset(tmp_path, "val").names == ("owl",)


def test_two_classes_of_one_name_in_a_yaml_are_told(tmp_path: Path) -> None:
    coco(tmp_path / "whole.json", tmp_path / "whole")
    content = json.loads((tmp_path / "whole.json").read_text())
    content["categories"].append({"id": 99, "name": "kitten"})
    (tmp_path / "whole.json").write_text(json.dumps(content))
    (tmp_path / "data.yaml").write_text("train: whole.json\nnames: [pet, pet]\nnc: 3\n")
    dataset = open_dataset(tmp_path / "data.yaml")
    assert dataset.names == ("pet",)
    assert [problem.check for problem in problems_of(dataset)] == ["class-count", "duplicate-category"]


def test_splits_are_asked_for_and_found(tmp_path: Path) -> None:
    idmasks(tmp_path / "parts" / "train")
    assert has_split(tmp_path / "parts", "train")
    assert not has_split(tmp_path / "parts", "val")
    assert len(open_dataset(tmp_path / "parts")) == 1
    with pytest.raises(MaskRCNNError, match="expected a split named 'val', found train"):
        open_dataset(tmp_path / "parts", "val")
    idmasks(tmp_path / "parts" / "test")
    assert has_split(tmp_path / "parts", "val")
    with pytest.raises(MaskRCNNError, match=r"the splits train, test \(say which"):
        open_dataset(tmp_path / "parts")
    idmasks(tmp_path / "whole")
    assert has_split(tmp_path / "whole", "train")
    assert not has_split(tmp_path / "whole", "val")
    with pytest.raises(MaskRCNNError, match="found one set without splits"):
        open_dataset(tmp_path / "whole", "val")


def test_unknown_folders_say_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    image(tmp_path / "photos" / "a.jpg")
    (tmp_path / "notes.txt").touch()
    for place, found in (("empty", "an empty folder"), ("photos", "a.jpg with 1 image"), ("notes.txt", "notes.txt")):
        with pytest.raises(MaskRCNNError, match=rf"{place}: expected COCO .* id masks .*; found .*{found}"):
            open_dataset(tmp_path / place)
    for function in (open_dataset, lambda path: has_split(path, "train")):
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
    assert has_split(SHARED / name, "val") == bool(val)
    if val:
        assert len(open_dataset(SHARED / name, "val")) == val


def test_half_a_character_in_a_name_is_no_name() -> None:
    """JSON can write half of a pair (\\ud83d), which neither a file nor a terminal takes."""
    data = Dataset(Labels(["cat", json.loads('"a\\ud83db"'), "\U0001f600"], [], StoredAnnotations([])))
    assert data.names == ("cat", "a?b", "\U0001f600")


def test_pixels_as_a_model_takes_them_and_smaller(tmp_path: Path) -> None:
    Image.new("RGB", (101, 61), "red").save(tmp_path / "a.jpg")
    np.save(tmp_path / "b.npy", np.full((61, 101, 5), 7, np.uint16))
    records = [ImageRecord(1, tmp_path / "a.jpg", 61, 101), ImageRecord(2, tmp_path / "b.npy", 61, 101)]
    dataset = Dataset(Labels(["thing"], records, StoredAnnotations([[], []])))
    assert dataset.pixels(0).shape == (61, 101, 3)
    assert dataset.pixels(0, shrink=4).shape == (16, 26, 3)
    five = Preprocess(mean=(0.5,) * 5, std=(0.5,) * 5, depth=16)
    assert dataset.pixels(1, five, shrink=4).shape == (61, 101, 5)
    with pytest.raises(MaskRCNNError, match=r"b\.npy.*1, 3 or 4 channels"):
        dataset.pixels(1)
    other = Dataset(Labels(["thing"], [ImageRecord(1, tmp_path / "a.jpg", 61, 99)], StoredAnnotations([[]])))
    for shrink in (1, 4):
        with pytest.raises(MaskRCNNError, match="the labels are for 61 x 99"):
            other.pixels(0, shrink=shrink)
