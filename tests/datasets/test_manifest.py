import json
from pathlib import Path

import pytest

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.data_folders import coco, idmasks, write_map
from tests.reading import problems_of


def shown(dataset: Dataset) -> list[list[str]]:
    return [[dataset.names[label] for label in dataset.objects(i).labels] for i in range(len(dataset))]


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
    assert Source(tmp_path).splits == ["train"]
    # A file called data comes first, and is not passed over if it is broken.
    (tmp_path / "data.yaml").write_text("val: other\nnames: !!python/name:os.system\n")
    with pytest.raises(MaskRCNNError, match=r"data\.yaml: not valid YAML: a value of type"):
        open_dataset(tmp_path)
    (tmp_path / "data.yaml").write_text("val: other\nnames: [nucleus]\n")
    assert open_dataset(tmp_path).names == ("nucleus",)
    file.write_text(f"train: {tmp_path}\nnames: [owl]\n")
    (tmp_path / "data.yaml").unlink()
    assert len(open_dataset(tmp_path, "train")) == 3


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
    assert Source(tmp_path).splits == ["train", "valid"]
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


def test_a_manifest_lists_several_places(tmp_path: Path) -> None:
    write_map(tmp_path / "one", "cat")
    write_map(tmp_path / "two" / "train", "kitten")
    write_map(tmp_path / "two" / "val", "kitten")
    file = tmp_path / "all.yaml"
    file.write_text("train:\n- one\n- {path: two, rename: {kitten: cat}}\nval: {path: two, split: val}\n")
    both = open_dataset(file, "train")
    assert both.names == ("cat",)
    assert shown(both) == [["cat"], ["cat"]]
    assert open_dataset(file, "val").names == ("kitten",)
    file.write_text("train: [one, two]\nclasses: [kitten]\n")
    assert shown(open_dataset(file)) == [[], ["kitten"]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train: [3]", "found 3"),
        ("train: {path: one, splits: x}", "path with split and rename"),
        ("train: {path: one, rename: x}", "rename as"),
        ("train: one\nclasses: [fox]", "'fox'"),
        ("train: [one, gone]", "gone: no such file"),
    ],
)
def test_a_wrong_manifest_is_told(tmp_path: Path, text: str, told: str) -> None:
    write_map(tmp_path / "one", "cat")
    (tmp_path / "all.yaml").write_text(text)
    with pytest.raises(MaskRCNNError, match=told):
        open_dataset(tmp_path / "all.yaml")


def test_a_place_without_the_split_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    idmasks(tmp_path / "data" / "train", 2)
    file = tmp_path / "data.yaml"
    file.write_text("train: data\nval: data\n")
    assert len(open_dataset(file, "train")) == 2
    with pytest.raises(MaskRCNNError, match=r"val: .*data: expected a split named 'val', found train"):
        open_dataset(file, "val")
    file.write_text("train: data\nval: {path: data, split: train}\n")
    assert len(open_dataset(file, "val")) == 2
    (tmp_path / "data" / "data.yaml").write_text("train: .\nval: .\nnames: [owl]\n")
    with pytest.raises(MaskRCNNError, match=r"val: .*data: expected a split named 'val', found train"):
        open_dataset(tmp_path / "data", "val")


def test_a_place_that_leads_back_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("train: b.yaml\n")
    (tmp_path / "b.yaml").write_text("train: a.yaml\n")
    with pytest.raises(MaskRCNNError, match=r"leads back to .*a\.yaml"):
        open_dataset(tmp_path / "a.yaml")


def test_a_place_may_be_a_json_without_its_ending_or_a_split(tmp_path: Path) -> None:
    coco(tmp_path / "first.json", tmp_path / "images", 3)
    idmasks(tmp_path / "other" / "val", 2)
    file = tmp_path / "data.yaml"
    file.write_text("train: first\nval: other/val\n")
    assert len(open_dataset(file, "train")) == 3
    coco(tmp_path / "parts" / "val.json", tmp_path / "parts" / "images", 4)
    coco(tmp_path / "parts" / "train.json", tmp_path / "parts" / "images", 1)
    file.write_text("train: parts/training\nval: parts/validation\n")
    assert [len(open_dataset(file, split)) for split in ("train", "val")] == [1, 4]
