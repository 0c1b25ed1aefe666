from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.voc_colour_map import colours, write_map
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.reading import problems_of

H, W = 20, 30
LEFT, RIGHT = (2, 3, 10, 12), (15, 5, 25, 15)


def write(root: Path, left: int, right: int, stem: str = "a", *, maps: str = "", void: tuple[int, ...] = ()) -> Path:
    """An image with object 1 at the left and object 2 at the right, of these numbers in the class map."""
    ids, classes = np.zeros((H, W), dtype=np.int64), np.zeros((H, W), dtype=np.int64)
    for number, value, (x1, y1, x2, y2) in ((1, left, LEFT), (2, right, RIGHT)):
        ids[y1:y2, x1:x2], classes[y1:y2, x1:x2] = number, value
    if void:
        classes[void[1] : void[3], void[0] : void[2]] = 255
    for place in ("JPEGImages", f"SegmentationObject{maps}", f"SegmentationClass{maps}", "Annotations"):
        (root / place).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(root / "JPEGImages" / f"{stem}.jpg")
    write_map(root / f"SegmentationObject{maps}" / f"{stem}.png", ids)
    write_map(root / f"SegmentationClass{maps}" / f"{stem}.png", classes)
    return root


def write_xml(root: Path, left: str, right: str, stem: str = "a") -> None:
    text = "<annotation><folder>VOC2012</folder><size><width>30</width></size>"
    for name, (x1, y1, x2, y2) in ((left, LEFT), (right, RIGHT)):
        box = f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        text += f"<object><name>{name}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
    (root / "Annotations" / f"{stem}.xml").write_text(f"{text}</annotation>", encoding="utf-8")


def found(dataset: Dataset, index: int = 0) -> list[str]:
    return [dataset.names[label] for label in dataset.objects(index).labels]


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("_background_\nscratch\ndent\n", ["scratch", "dent"]),
        ("\ufeff_background_\r\nscratch\r\ndent\r\n\r\n", ["scratch", "dent"]),
        ("__ignore__\n_background_\nscratch\ndent", ["scratch", "dent"]),
        ("nothing\nscratch\ndent", ["scratch", "dent"]),
        ("_background_\nscratch\nscratch", ["scratch", "scratch"]),
        ("_background_\n02146\nno", ["02146", "no"]),
        ("_background_\nbicycle\naeroplane", ["bicycle", "aeroplane"]),
    ],
)
def test_class_names_txt_names_the_numbers(tmp_path: Path, lines: str, names: list[str]) -> None:
    write(tmp_path, 1, 2)
    write_xml(tmp_path, "aeroplane", "bicycle")
    (tmp_path / "class_names.txt").write_text(lines, encoding="utf-8", newline="")
    dataset = open_dataset(tmp_path)
    assert found(dataset) == names
    assert dataset.names == tuple(dict.fromkeys(names))
    assert problems_of(dataset) == []


def test_marks_of_no_class_keep_their_lines(tmp_path: Path) -> None:
    write(tmp_path, 2, 3)
    (tmp_path / "class_names.txt").write_text("_background_\n__ignore__\nscratch\ndent")
    assert found(open_dataset(tmp_path)) == ["scratch", "dent"]
    (tmp_path / "class_names.txt").rename(tmp_path / "labels.txt")
    assert found(open_dataset(tmp_path)) == ["scratch", "dent"]


def test_a_number_without_a_line_is_one_problem(tmp_path: Path) -> None:
    write(tmp_path, 1, 7)
    (tmp_path / "class_names.txt").write_text("_background_\nscratch\n")
    dataset = open_dataset(tmp_path)
    assert found(dataset) == ["scratch"]
    (problem,) = problems_of(dataset)
    assert (problem.check, problem.objects_lost) == ("unknown-category", 1)
    assert "has 7 under it" in problem.what


@pytest.mark.parametrize("split", [False, True])
def test_without_any_names_classes_have_their_numbers_and_that_is_told(tmp_path: Path, split: bool) -> None:
    write(tmp_path, 1, 2)
    write(tmp_path, 1, 5, "b", void=(0, 0, 30, 2))
    if split:
        (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
        for name, stem in (("train", "a"), ("val", "b")):
            (tmp_path / "ImageSets" / "Segmentation" / f"{name}.txt").write_text(stem)
    dataset = open_dataset(tmp_path, "train" if split else None)
    assert dataset.names == ("class 1", "class 2", "class 5")
    assert found(dataset) == ["class 1", "class 2"]
    (problem,) = problems_of(dataset)
    assert (problem.check, problem.severity) == ("no-class-names", "warning")
    assert "class_names.txt" in problem.fix
    if split:
        assert open_dataset(tmp_path, "val").names == dataset.names


def test_colours_without_names_are_told_as_colours(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    painted = np.zeros((H, W, 3), dtype=np.uint8)
    painted[LEFT[1] : LEFT[3], LEFT[0] : LEFT[2]] = (250, 50, 83)
    painted[RIGHT[1] : RIGHT[3], RIGHT[0] : RIGHT[2]] = colours(np.array(2))
    Image.fromarray(painted).save(tmp_path / "SegmentationClass" / "a.png")
    dataset = open_dataset(tmp_path)
    assert found(dataset) == ["colour 250,50,83", "class 2"]
    noise = np.random.default_rng(0).integers(0, 256, (H, W, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "SegmentationClass" / "a.png")
    with pytest.raises(MaskRCNNError, match="more than 254 colours"):
        open_dataset(tmp_path)


def test_pascal_voc_itself_has_its_names(tmp_path: Path) -> None:
    write(tmp_path, 15, 13)
    write_xml(tmp_path, "person", "horse")
    write(tmp_path, 1, 20, "b")
    write_xml(tmp_path, "aeroplane", "tvmonitor", "b")
    dataset = open_dataset(tmp_path)
    assert len(dataset.names) == 20
    assert (found(dataset), found(dataset, 1)) == (["person", "horse"], ["aeroplane", "tvmonitor"])
    assert problems_of(dataset) == []


@pytest.mark.parametrize("names", [("person", "car"), ("scratch", "car"), ("Katze", "Hund")])
def test_other_numbers_than_vocs_are_not_taken_for_them(tmp_path: Path, names: tuple[str, str]) -> None:
    write(tmp_path, 1, 2)
    write_xml(tmp_path, *names)
    dataset = open_dataset(tmp_path)
    assert dataset.names == tuple(sorted(names))
    assert found(dataset) == list(names)
    assert [(problem.check, problem.severity) for problem in problems_of(dataset)] == [("names-of-boxes", "note")]


def test_names_that_the_user_gives_are_those_of_the_numbers(tmp_path: Path) -> None:
    write(tmp_path / "data", 2, 1)
    (tmp_path / "data.yaml").write_text("train: data\nnames: [scratch, dent]\n")
    dataset = open_dataset(tmp_path / "data.yaml", "train")
    assert dataset.names == ("scratch", "dent")
    assert found(dataset) == ["dent", "scratch"]
    assert problems_of(dataset) == []


def test_early_labelme2voc_had_its_images_beside(tmp_path: Path) -> None:
    write(tmp_path, 1, 2, maps="PNG")
    for place in ("SegmentationObject", "SegmentationClass"):
        (tmp_path / place).mkdir()
        np.save(tmp_path / place / "a.npy", np.zeros((H, W), dtype=np.int32))
    (tmp_path / "class_names.txt").write_text("_background_\nscratch\ndent\n")
    assert found(open_dataset(tmp_path)) == ["scratch", "dent"]


def test_what_labelme2voc_marks_to_be_ignored_is_a_region(tmp_path: Path) -> None:
    write(tmp_path, 1, 2, void=(2, 14, 12, 20))
    (tmp_path / "class_names.txt").write_text("_background_\nscratch\ndent\n")
    dataset = open_dataset(tmp_path)
    objects = dataset.objects(0)
    assert objects.boxes[2:].tolist() == [[2, 14, 12, 20]] * 2
    assert objects.crowd.tolist() == [False, False, True, True]
    assert objects.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("colour", ["9" * 5000, "1,2", "a,b,c", "1,2,999", "-1,2,3", "²,1,1", ""])
def test_a_labelmap_without_good_colours_still_has_places(tmp_path: Path, colour: str) -> None:
    write(tmp_path, 1, 2)
    (tmp_path / "labelmap.txt").write_text(f"background:0,0,0::\ncat:{colour}::\ndog:1,2,3::\n", encoding="utf-8")
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("cat", "dog")
    assert found(dataset) == ["cat", "dog"]


def test_a_huge_list_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    (tmp_path / "class_names.txt").write_bytes(b"a\n" * 2**24)
    with pytest.raises(MaskRCNNError, match="at most 16,777,216 bytes"):
        open_dataset(tmp_path)
