import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.objects import draw_each
from maskrcnn.datasets.conversion.dataset_writer import LabelledImage
from maskrcnn.datasets.conversion.omissions import Omissions
from maskrcnn.datasets.conversion.yolo_writer import YoloWriter
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats import yolo
from maskrcnn.datasets.formats.format_registry import detect
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Crop
from tests.reading import lost, problems_of

W, H = 40, 20
# A square from (4, 2) to (12, 10) in an image of 40 x 20.
SQUARE = "0.1 0.1 0.3 0.1 0.3 0.5 0.1 0.5"


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(path)


def labelled(folder: Path, text: str | bytes, stem: str = "a", split: str = "train") -> None:
    image(folder / "images" / split / f"{stem}.jpg")
    labels = folder / "labels" / split / f"{stem}.txt"
    labels.parent.mkdir(parents=True, exist_ok=True)
    labels.write_bytes(text.encode() if isinstance(text, str) else text)


def opened(folder: Path, text: str | bytes, yaml: str = "train: images/train\nnames: [cat, dog]\n") -> Dataset:
    labelled(folder, text)
    (folder / "data.yaml").write_text(yaml)
    return open_dataset(folder, "train")


def test_polygons_and_boxes_by_hand(tmp_path: Path) -> None:
    # A BOM, Windows line ends, a blank line, and a class written as 1.0 are all met in the wild.
    text = f"\ufeff1 {SQUARE}\r\n\r\n0 0.5 0.5 0.25 0.5\r\n1.0 {SQUARE} \r\n"
    dataset = opened(tmp_path, text)
    objects = dataset.objects(0)
    assert dataset.names == ("cat", "dog")
    assert objects.labels.tolist() == [1, 0, 1]
    assert objects.boxes.tolist() == [[4, 2, 12, 10], [15, 5, 25, 15], [4, 2, 12, 10]]
    assert objects.ids.tolist() == [1, 3, 4]
    assert objects.crops[1] is None
    assert objects.crops[0] is not None
    assert objects.crops[0].area == 64
    assert problems_of(dataset) == []
    assert dataset.records[0].size == (H, W)


def test_parts_joined_by_ultralytics_are_drawn_apart(tmp_path: Path) -> None:
    # Its converter closes each part and walks to the nearest point of the next one and back.
    one, two = [(4, 2), (12, 2), (12, 10), (4, 10)], [(20, 4), (24, 4), (24, 8), (20, 8)]
    walk = [*one[1:], one[0], one[1], *two, two[0]]
    text = "0 " + " ".join(f"{x / W} {y / H}" for x, y in walk)
    crop = opened(tmp_path, text).objects(0).crops[0]
    assert crop is not None
    assert crop.box == (4.0, 2.0, 24.0, 10.0)
    assert crop.area == 64 + 16


@pytest.mark.parametrize(
    ("line", "told", "check"),
    [
        ("2 " + SQUARE, "class from 0 to 1, found 2", "unknown-category"),
        ("-1 " + SQUARE, "class from 0 to 1, found -1", "unknown-category"),
        ("0.5 " + SQUARE, "class from 0 to 1, found 0.5", "unknown-category"),
        ("nan " + SQUARE, "class from 0 to 1, found nan", "unknown-category"),
        ("cat " + SQUARE, "expected numbers", "bad-entry"),
        ("0 0.1,0.1 0.3,0.1 0.3,0.5", "expected numbers", "bad-entry"),
        ("0 4 2 12 2 12 10 4 10", "fractions of the image's width", "not-normalised"),
        ("0 0.1 0.1 nan 0.1 0.3 0.5", "fractions of the image's width", "not-normalised"),
        ("0 0.1 0.1 inf 0.1 0.3 0.5", "fractions of the image's width", "not-normalised"),
        ("0", "found 1 numbers", "bad-segmentation"),
        ("0 0.1 0.1 0.3", "found 4 numbers", "bad-segmentation"),
        ("0 0.1 0.1 0.3 0.1 0.3 0.5 0.1", "found 8 numbers", "bad-segmentation"),
        ("0 0.5 0.5 0 0.5", "has no area", "zero-area"),
        ("0 1.9 0.5 0.1 0.5", "outside the 40 x 20 image", "outside-image"),
        ("0 1.1 1.1 1.2 1.1 1.2 1.2", "covers no pixel", "empty-mask"),
    ],
)
def test_one_bad_line_is_one_problem_and_the_rest_survives(tmp_path: Path, line: str, told: str, check: str) -> None:
    dataset = opened(tmp_path, f"0 {SQUARE}\n{line}\n1 {SQUARE}\n")
    for _ in range(2):
        assert dataset.objects(0).labels.tolist() == [0, 1]
        (problem,) = problems_of(dataset)
        assert (problem.check, problem.objects_lost) == (check, 1)
    assert told in problem.what
    assert "a.txt, " in problem.where
    assert problem.where.endswith(" 2")


def test_a_file_that_is_no_text_is_told_when_read(tmp_path: Path) -> None:
    dataset = opened(tmp_path, b"\xff\xfe\x00\x01")
    with pytest.raises(MaskRCNNError, match=r"a\.txt: cannot be read as text"):
        dataset.objects(0)


def test_images_without_labels_have_no_objects(tmp_path: Path) -> None:
    image(tmp_path / "images" / "train" / "b.PNG")
    image(tmp_path / "images" / "train" / "c.png")
    labelled(tmp_path, "", "c")
    dataset = opened(tmp_path, f"0 {SQUARE}")
    assert [len(dataset.objects(i).ids) for i in range(len(dataset))] == [1, 0, 0, 0]
    assert [problem.check for problem in problems_of(dataset)] == ["unlabelled-image"]
    assert "1 of 4 images without a .txt" in problems_of(dataset)[0].what


def test_an_unreadable_image_is_left_out_and_told(tmp_path: Path) -> None:
    labelled(tmp_path, f"0 {SQUARE}", "b")
    (tmp_path / "images" / "train" / "b.jpg").write_bytes(b"junk")
    dataset = opened(tmp_path, f"0 {SQUARE}")
    assert (len(dataset), lost(dataset)[0]) == (1, 1)
    assert "b.jpg: dropped, not an image" in str(problems_of(dataset)[0])


@pytest.mark.parametrize(
    ("places", "path"),
    [
        (("images/train", "labels/train"), "train: images/train"),
        (("images/train", "labels/train"), "path: /nowhere/else\ntrain: images/train"),
        (("images/train", "labels/train"), "path: .\ntrain: [images/train]"),
        (("train/images", "train/labels"), "train: ../train/images"),
        (("images", "labels"), "train: images"),
        (("images", "labels"), "train: ."),
        (("photos", "photos"), "train: photos"),
        (("images/train", "labels/train"), "train: train.txt"),
    ],
)
@pytest.mark.parametrize("with_yaml", [True, False])
def test_layouts(tmp_path: Path, places: tuple[str, str], path: str, with_yaml: bool) -> None:
    image(tmp_path / places[0] / "a b.ä.jpg")
    (tmp_path / places[1]).mkdir(parents=True, exist_ok=True)
    (tmp_path / places[1] / "a b.ä.txt").write_text(f"1 {SQUARE}\n")
    if "train.txt" in path:
        (tmp_path / "train.txt").write_text("./images/train/a b.ä.jpg\n")
    if with_yaml:
        (tmp_path / "data.yaml").write_text(f"{path}\nnames:\n  0: cat\n  1: dog\n")
    elif places[0] == "photos":
        with pytest.raises(MaskRCNNError, match="expected COCO"):
            open_dataset(tmp_path)
        return
    dataset = open_dataset(tmp_path, "train")
    assert dataset.names == (("cat", "dog") if with_yaml else ("0", "1"))
    assert dataset.objects(0).labels.tolist() == [1]


def test_names_without_a_yaml(tmp_path: Path) -> None:
    labelled(tmp_path, f"1 {SQUARE}\nx\n99999999 0 0\n")
    labelled(tmp_path, f"3 {SQUARE}\n", split="val")
    assert detect(tmp_path)[0].name == "yolo"  # type: ignore[index]
    assert Source(tmp_path).splits == ["train", "val"]
    # The numbers of all splits count, so that they agree.
    assert open_dataset(tmp_path, "train").names == ("0", "1", "2", "3")
    (tmp_path / "classes.txt").write_text("cat\r\n\r\ndog\r\n")
    dataset = open_dataset(tmp_path, "val")
    assert dataset.names == ("cat", "dog")
    assert len(dataset.objects(0).ids) == 0
    assert lost(dataset)[1] == 1
    assert open_dataset(tmp_path / "images" / "val").names == ("cat", "dog")


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ("[no, yes]", ("no", "yes")),
        ("[02146, 1e3]", ("02146", "1e3")),
        ("[2001-01-01, ~]", ("2001-01-01", "~")),
        ("[0x1F, 'null']", ("0x1F", "null")),
        ('{"0": cat, "1": dog}', ("cat", "dog")),
        ("{1: dog, 0: cat}", ("cat", "dog")),
        ("{0: off, 1: 7}", ("off", "7")),
        ("\n- cat\n- '[x]'", ("cat", "[x]")),
    ],
)
def test_names_are_the_text_that_stands_in_the_yaml(tmp_path: Path, names: str, known: tuple[str, ...]) -> None:
    dataset = opened(tmp_path, f"1 {SQUARE}", f"train: images/train\nnames: {names}\nnc: 2\n")
    assert dataset.names == known
    assert dataset.objects(0).labels.tolist() == [1]
    assert problems_of(dataset) == []


def test_one_name_may_be_a_word(tmp_path: Path) -> None:
    for names, known in (("cat", "cat"), ("007", "007"), ("no", "no")):
        dataset = opened(tmp_path, f"0 {SQUARE}", f"train: images/train\nnames: {names}\n")
        assert dataset.names == (known,)
        assert dataset.objects(0).labels.tolist() == [0]


def test_numbers_keep_their_names_where_some_are_missing(tmp_path: Path) -> None:
    dataset = opened(tmp_path, f"2 {SQUARE}\n1 {SQUARE}\n0 {SQUARE}", "train: images/train\nnames: {0: a, 2: c}\nnc: 3")
    assert dataset.names == ("a", "c")
    assert dataset.objects(0).labels.tolist() == [1, 0]
    (problem,) = problems_of(dataset)
    assert (problem.check, problem.what) == ("unknown-category", "class 1 has no name")


@pytest.mark.parametrize("file", ["data.yaml", "classes.txt"])
def test_two_classes_of_one_name_are_one_and_told(tmp_path: Path, file: str) -> None:
    names = {"data.yaml": "train: images/train\nnames: [Car, Bus, Car]\n", "classes.txt": "Car\nBus\nCar\n"}[file]
    labelled(tmp_path, f"2 {SQUARE}\n0 {SQUARE}\n1 {SQUARE}")
    (tmp_path / file).write_text(names)
    dataset = open_dataset(tmp_path, "train")
    assert dataset.names == ("Car", "Bus")
    assert dataset.objects(0).labels.tolist() == [0, 0, 1]
    (problem,) = problems_of(dataset)
    assert (problem.check, problem.severity) == ("duplicate-category", "warning")
    assert "'Car'" in problem.what


@pytest.mark.parametrize(("count", "told"), [("2", 0), ("'2'", 0), ("3", 1), ("two", 1), ("[2]", 1), (".nan", 1)])
def test_a_number_of_classes_that_is_not_that_of_the_names_is_told(tmp_path: Path, count: str, told: int) -> None:
    dataset = opened(tmp_path, f"1 {SQUARE}", f"train: images/train\nnames: [a, b]\nnc: {count}\n")
    assert [problem.check for problem in problems_of(dataset)] == ["class-count"] * told
    assert dataset.names == ("a", "b")


def test_poses_are_boxes_and_said_so(tmp_path: Path) -> None:
    pose = "0.5 0.5 0.25 0.5 0.3 0.3 2 0.6 0.6 0"
    yaml = "train: images/train\nnames: [cat]\nkpt_shape: [2, 3]\n"
    dataset = opened(tmp_path, f"0 {pose}\n0 0.5 0.5 0.25 0.5\n0 {SQUARE}\n0 {pose} 1\n", yaml)
    objects = dataset.objects(0)
    assert objects.boxes.tolist() == [[15, 5, 25, 15]] * 2
    assert objects.crops == [None, None]
    checks = [problem.check for problem in problems_of(dataset)]
    assert checks == ["pose-data", "bad-segmentation", "bad-segmentation"]
    assert "2 keypoints of 3 numbers, found 9 numbers" in problems_of(dataset)[1].what


def test_oriented_boxes_and_boxes_and_outlines_in_one_file(tmp_path: Path) -> None:
    dataset = opened(tmp_path, f"0 {SQUARE}\n0 0.5 0.5 0.25 0.5\n1 0.5 0.1 0.7 0.5 0.5 0.9 0.3 0.5 0.4 0.3\n")
    objects = dataset.objects(0)
    assert [crop is not None for crop in objects.crops] == [True, False, True]
    assert problems_of(dataset) == []


def test_images_in_folders_below(tmp_path: Path) -> None:
    labelled(tmp_path, f"0 {SQUARE}", "top")
    labelled(tmp_path, f"0 {SQUARE}\n1 {SQUARE}", "a", "train/cam1")
    labelled(tmp_path, f"1 {SQUARE}", "a", "train/cam2")
    image(tmp_path / "images" / "train" / ".ipynb_checkpoints" / "a.jpg")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat, dog]\n")
    for split in (None, "train"):
        dataset = open_dataset(tmp_path, split)
        found = {str(r.path.relative_to(tmp_path / "images" / "train")): i for i, r in enumerate(dataset.records)}
        assert {name: dataset.objects(i).labels.tolist() for name, i in found.items()} == {
            "top.jpg": [0], "cam1/a.jpg": [0, 1], "cam2/a.jpg": [1],
        }  # fmt: skip
        assert problems_of(dataset) == []
    # Without images at the top, and without a YAML.
    (tmp_path / "images" / "train" / "top.jpg").unlink()
    (tmp_path / "data.yaml").unlink()
    assert (len(open_dataset(tmp_path, "train")), open_dataset(tmp_path).names) == (2, ("0", "1"))


def test_folders_without_labels_below_images_with_labels_beside(tmp_path: Path) -> None:
    for place in ("photos", "photos/more", "photos/previews"):
        image(tmp_path / place / "a.jpg")
    for place in ("photos", "photos/more"):
        (tmp_path / place / "a.txt").write_text(f"0 {SQUARE}\n")
    dataset = open_dataset(tmp_path / "photos")
    assert [record.path.parent.name for record in dataset.records] == ["photos", "more"]
    (problem,) = problems_of(dataset)
    assert (problem.check, problem.images_lost) == ("unlabelled-image", 0)
    assert "1 image in folders without labels left out" in problem.what


@pytest.mark.parametrize(
    "line",
    [
        "images/train/a.jpg",
        "./images/train/a.jpg",
        "data/images/train/a.jpg",
        "/home/user/data/images/train/a.jpg",
        "C:\\data\\images\\train\\a.jpg",
        "train/a.jpg",
        "../elsewhere/images/train/A.JPG",
        "/elsewhere/a.jpg",
        "  images/train/a.jpg  ",
        '"images/train/a.jpg"',
        "images/train/a.jpg?x=1",
    ],
)
def test_a_list_of_another_machine(tmp_path: Path, line: str) -> None:
    labelled(tmp_path, f"1 {SQUARE}")
    (tmp_path / "train.txt").write_bytes(f"\ufeff# all images: 1.jpg\r\n\r\n{line}\r\n".encode())
    (tmp_path / "data.yaml").write_text("path: /elsewhere\ntrain: train.txt\nnames: [cat, dog]\n")
    dataset = open_dataset(tmp_path)
    assert [record.path.name for record in dataset.records] == ["a.jpg"]
    assert dataset.objects(0).labels.tolist() == [1]
    assert problems_of(dataset) == []


def test_lists_named_after_splits_are_splits(tmp_path: Path) -> None:
    # CVAT's YOLO 1.1: labels lie beside the images, and lists name them with a folder that is not there.
    for stem in ("a", "b"):
        image(tmp_path / "obj_train_data" / f"{stem}.jpg")
        (tmp_path / "obj_train_data" / f"{stem}.txt").write_text(f"1 {SQUARE}\n")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "Train.txt").write_text("data/obj_train_data/a.jpg\n")
    (tmp_path / "valid.txt").write_text("data/obj_train_data/b.jpg\n")
    assert Source(tmp_path).splits == ["train", "valid"]
    for split, stem in (("train", "a"), ("val", "b")):
        dataset = open_dataset(tmp_path, split)
        assert [record.path.stem for record in dataset.records] == [stem]
        assert dataset.names == ("cat", "dog")
        assert dataset.objects(0).labels.tolist() == [1]
    (tmp_path / "Train.txt").write_bytes(b"\xff\xfe\x00")
    assert yolo.find(tmp_path) == {}


def test_a_list_that_does_not_tell_images_apart(tmp_path: Path) -> None:
    labelled(tmp_path, f"1 {SQUARE}")
    labelled(tmp_path, f"1 {SQUARE}", "b")
    lines = ["/x/cam1/a.jpg", "/x/cam2/a.jpg", "gone.jpg", "/x/b.jpg", "/x/b.jpg"]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    dataset = open_dataset(tmp_path / "train.txt")
    assert [record.path.name for record in dataset.records] == ["b.jpg"]
    assert [(problem.check, problem.images_lost) for problem in problems_of(dataset)] == [("missing-image", 1)] * 3
    assert ["ambiguous" in problem.what for problem in problems_of(dataset)] == [True, True, False]


def test_folders_named_after_a_split_and_a_year(tmp_path: Path) -> None:
    for split in ("train2017", "Val2017"):
        labelled(tmp_path, f"0 {SQUARE}", split=split)
    assert Source(tmp_path).splits == ["train", "val"]
    assert open_dataset(tmp_path, "val").objects(0).labels.tolist() == [0]


def test_text_beside_images_is_no_label(tmp_path: Path) -> None:
    image(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("a photo of a cat")
    assert yolo.find(tmp_path) == {}
    (tmp_path / "notes.txt").write_text("nothing")
    assert yolo.find(tmp_path / "notes.txt") == {}


def test_no_usable_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("gone.jpg\n")
    with pytest.raises(MaskRCNNError, match=r"none of 1 image can be used, the first: .*gone\.jpg"):
        open_dataset(tmp_path / "list.txt")


def test_workers_get_a_copy(tmp_path: Path) -> None:
    dataset = opened(tmp_path, f"0 {SQUARE}")
    assert pickle.loads(pickle.dumps(dataset)).objects(0).ids.tolist() == [1]


def written(folder: Path, annotations: list[Annotation]) -> tuple[list[str], Omissions]:
    losses = Omissions("YOLO-seg")
    image(folder / "images" / "a.jpg")
    writer = YoloWriter(folder, ["cat", "dog"], [""], losses)
    record = ImageRecord(1, folder / "images" / "a.jpg", H, W)
    writer.add(LabelledImage("", record.path, record, draw_each(annotations, record.size, "test")[0]))
    writer.close()
    return (folder / "labels" / "a.txt").read_text().splitlines(), losses


def test_written_numbers_keep_full_precision(tmp_path: Path) -> None:
    third = np.array([4 + 1 / 3, 2.1, 12.7, 2.3, 12.9, 10.123456789])
    lines, _ = written(tmp_path, [Annotation(1, 1, False, None, None, [third])])
    values = lines[0].split()
    assert values[0] == "1"
    assert (np.array(values[1:], dtype=float).reshape(-1, 2) == third.reshape(-1, 2) / (W, H)).all()
    assert open_dataset(tmp_path).annotations(0)[0][0].segmentation[0] == pytest.approx(third, abs=1e-9)  # type: ignore[index]


def test_decimals_come_back_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    polygons = [rng.uniform(0, 20, 12).round(2) for _ in range(50)]
    written(tmp_path, [Annotation(k, 0, False, None, None, [p]) for k, p in enumerate(polygons)])
    back = open_dataset(tmp_path).annotations(0)[0]
    assert [a.segmentation[0].tolist() for a in back] == [p.tolist() for p in polygons]  # type: ignore[index]


def test_what_is_outside_overlaps_or_has_holes_is_drawn_anew(tmp_path: Path) -> None:
    ring = np.ones((5, 5), dtype=bool)
    ring[1:4, 1:4] = False
    cases = [
        [np.array([-5.0, -5, 6, -5, 6, 4, -5, 4])],
        [np.array([2.0, 2, 8, 2, 8, 8, 2, 8]), np.array([5.0, 5, 12, 5, 12, 12, 5, 12])],
        Crop(ring, 20, 3),
        [np.array([30.0, 2, 34, 2, 34, 6, 30, 6]), np.array([36.0, 2, 38, 2, 38, 6, 36, 6])],
    ]
    annotations = [Annotation(k, 0, False, None, None, case) for k, case in enumerate(cases)]
    lines, losses = written(tmp_path, annotations)
    values = np.array([float(value) for line in lines for value in line.split()[1:]])
    assert values.min() >= 0
    assert values.max() <= 1
    assert losses.counts["joined"] == 2
    back = open_dataset(tmp_path).drawn(0)[0]
    for (_, before, _), (_, after, _) in zip(draw_each(annotations, (H, W), "")[0], back, strict=True):
        assert before is not None
        assert after is not None
        assert before[1:] == after[1:]
        assert (before.bitmap == after.bitmap).all()


def test_boxes_are_written_as_boxes_and_told_beside_masks(tmp_path: Path) -> None:
    box = Annotation(1, 0, False, (15.0, 5.0, 25.0, 15.0), None, None)
    lines, losses = written(tmp_path / "boxes", [box])
    assert lines == ["0 0.5 0.5 0.25 0.5"]
    assert not losses.counts
    square = Annotation(2, 0, False, None, None, [np.array([4.0, 2, 12, 2, 12, 10])])
    assert written(tmp_path / "both", [box, square])[1].counts["boxes-beside-masks"] == 1


def test_names_may_begin_at_any_number(tmp_path: Path) -> None:
    dataset = opened(tmp_path, f"2 {SQUARE}\n0 {SQUARE}\n", "train: images/train\nnames: {1: cat, 2: dog}\n")
    assert dataset.names == ("cat", "dog")
    assert dataset.objects(0).labels.tolist() == [1]
    assert [problem.what for problem in problems_of(dataset)] == ["class 0 has no name"]


@pytest.mark.parametrize("line", ["images/train/a.jpg", "./data/images/train/a.jpg", "D:\\x\\images\\train\\a.jpg"])
def test_lists_may_lie_in_a_folder_beside_the_images(tmp_path: Path, line: str) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text(f"{line}\n")
    dataset = opened(tmp_path, f"1 {SQUARE}\n", "train: lists/train.txt\nnames: [cat, dog]\n")
    assert [record.path for record in dataset.records] == [tmp_path / "images" / "train" / "a.jpg"]
    assert dataset.objects(0).labels.tolist() == [1]
    assert problems_of(dataset) == []
