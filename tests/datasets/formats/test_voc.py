import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.format_registry import detect
from maskrcnn.datasets.formats.voc_classes import _VOC_NAMES
from maskrcnn.datasets.formats.voc_colour_map import colours, write_map
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.reading import lost, problems_of

H, W = 40, 60


def maps() -> tuple[np.ndarray, np.ndarray]:
    """A cat (class 8) as object 1, in two parts with a hole, a dog (12) as object 2, with void between and around."""
    ids, classes = np.zeros((H, W), dtype=np.int64), np.zeros((H, W), dtype=np.int64)
    ids[5:15, 5:15] = ids[20:25, 5:10] = 1
    ids[8:10, 8:10] = 0
    classes[ids == 1] = 8
    ids[5:15, 20:30] = 2
    classes[5:15, 20:30] = 12
    ids[5:15, 15:20] = classes[5:15, 15:20] = 255
    return ids, classes


def write(root: Path, ids: np.ndarray, classes: np.ndarray | None, stem: str = "a", suffix: str = "jpg") -> None:
    for place in ("JPEGImages", "SegmentationObject", "SegmentationClass", "Annotations", "ImageSets/Segmentation"):
        (root / place).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(root / "JPEGImages" / f"{stem}.{suffix}", "JPEG")
    write_map(root / "SegmentationObject" / f"{stem}.png", ids)
    if classes is not None:
        write_map(root / "SegmentationClass" / f"{stem}.png", classes)


def list_names(root: Path, names: Sequence[str] = _VOC_NAMES) -> None:
    (root / "class_names.txt").write_text("\n".join(("_background_", *names)), encoding="utf-8")


def xml(*objects: tuple[str, tuple[int, int, int, int], int]) -> str:
    sides = ("xmin", "ymin", "xmax", "ymax")
    return "<annotation>" + "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
        + "".join(f"<{side}>{value}</{side}>" for side, value in zip(sides, box, strict=True))
        + "</bndbox></object>"
        for name, box, difficult in objects
    ) + "</annotation>"  # fmt: skip


def seen(dataset: Dataset, index: int = 0) -> list[tuple[str, list[float], bool]]:
    objects = dataset.objects(index)
    return [
        (dataset.names[label], box, crowd)
        for label, box, crowd in zip(objects.labels, objects.boxes.tolist(), objects.crowd.tolist(), strict=True)
    ]


CAT, DOG = ("cat", [5, 5, 15, 25], False), ("dog", [20, 5, 30, 15], False)


@pytest.mark.parametrize("place", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_a_voc_folder_by_hand(tmp_path: Path, place: str) -> None:
    ids, classes = maps()
    write(tmp_path / place, ids, classes)
    write(tmp_path / place, ids * 0, classes * 0, "b b.x", "JPG")
    file = tmp_path / place / "Annotations" / "a.xml"
    file.write_text(xml(("cat", (6, 6, 15, 25), 0), ("dog", (21, 6, 30, 15), 0), ("sofa", (1, 1, 3, 3), 1)))
    sets = tmp_path / place / "ImageSets" / "Segmentation"
    (sets / "train.txt").write_text("a\r\n", newline="")
    (sets / "val.txt").write_text("\ufeffb b.x\r\n\r\n", encoding="utf-8", newline="")
    (sets / "trainval.txt").write_text("a\nb b.x\n")
    assert detect(tmp_path)[0].name == "voc"  # type: ignore[index]
    assert Source(tmp_path).splits == ["train", "val"]
    train, val = open_dataset(tmp_path, "train"), open_dataset(tmp_path, "val")
    assert len(train.names) == 20
    assert seen(train) == [CAT, DOG]
    objects = train.objects(0)
    assert [crop.area for crop in objects.crops if crop is not None] == [100 + 25 - 4, 100]
    assert objects.ids.tolist() == [1, 2]
    assert [record.path.name for record in val.records] == ["b b.x.JPG"]
    assert seen(val) == []
    assert problems_of(train) == problems_of(val) == []


def test_without_sets_all_maps_count(tmp_path: Path) -> None:
    write(tmp_path, *maps())
    assert Source(tmp_path).splits == [""]
    assert len(open_dataset(tmp_path)) == 1


def test_the_colours_of_a_labelmap_as_cvat_writes_it(tmp_path: Path) -> None:
    ids, classes = maps()
    write(tmp_path, ids, classes)
    # CVAT paints instances with VOC's palette, and classes with the colours of the labelmap.
    colour = {0: (0, 0, 0), 8: (250, 50, 83), 12: (51, 221, 255), 255: (224, 224, 192)}
    painted = np.array([[colour[int(value)] for value in row] for row in classes], dtype=np.uint8)
    Image.fromarray(painted).save(tmp_path / "SegmentationClass" / "a.png")
    Image.fromarray(colours(ids)).save(tmp_path / "SegmentationObject" / "a.png")
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\r\nbackground:0,0,0::\r\nhot: dog:51,221,255::\r\nTabby:250,50,83::\r\n",
        encoding="utf-8-sig",
    )
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("hot: dog", "Tabby")
    assert [name for name, *_ in seen(dataset)] == ["Tabby", "hot: dog"]


def test_places_in_a_labelmap_name_the_numbers_of_palette_maps(tmp_path: Path) -> None:
    ids, classes = maps()
    write(tmp_path, ids, np.where(classes == 8, 2, np.where(classes == 12, 1, classes)))
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ndog:1,2,3::\ncat:4,5,6::\n")
    assert [name for name, *_ in seen(open_dataset(tmp_path))] == ["cat", "dog"]
    (tmp_path / "labelmap.txt").write_text("dog\ncat\n")
    assert [name for name, *_ in seen(open_dataset(tmp_path))] == ["cat", "dog"]


def test_wide_void_is_a_region_to_ignore(tmp_path: Path) -> None:
    ids, classes = maps()
    ids[20:30, 30:50] = classes[20:30, 30:50] = 255
    list_names(tmp_path)
    write(tmp_path, ids, classes)
    file = tmp_path / "Annotations" / "a.xml"
    # VOC counts from 1 and includes the last pixel.
    file.write_text(xml(("person", (31, 21, 50, 30), 1), ("cat", (6, 6, 15, 25), 0)))
    assert seen(open_dataset(tmp_path)) == [CAT, DOG, ("person", [30, 20, 50, 30], True)]
    file.write_text(xml(("person", (31, 21, 50, 30), 0)))
    found = seen(open_dataset(tmp_path))
    assert found[:2] == [CAT, DOG]
    assert [(box, crowd) for _, box, crowd in found[2:]] == [([30, 20, 50, 30], True)] * 20
    file.write_text("<annotation><object>")
    dataset = open_dataset(tmp_path)
    assert len(seen(dataset)) == 22
    assert [problem.check for problem in problems_of(dataset)] == ["bad-file"]


def test_parts_of_one_difficult_object_are_one_region(tmp_path: Path) -> None:
    ids, classes = maps()
    ids[20:35, 30:50] = classes[20:35, 30:50] = 255
    ids[20:35, 38:42] = classes[20:35, 38:42] = 0
    list_names(tmp_path)
    write(tmp_path, ids, classes)
    (tmp_path / "Annotations" / "a.xml").write_text(xml(("person", (31, 21, 50, 35), 1)))
    assert seen(open_dataset(tmp_path))[2:] == [("person", [30, 20, 50, 35], True)]


def test_without_class_maps_the_boxes_of_the_xml_tell(tmp_path: Path) -> None:
    ids, _ = maps()
    write(tmp_path, ids, None)
    (tmp_path / "SegmentationClass").rmdir()
    (tmp_path / "Annotations" / "a.xml").write_text(xml(("owl", (20, 5, 30, 15), 0), ("hen", (6, 6, 15, 24), 0)))
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("hen", "owl")
    assert [name for name, *_ in seen(dataset)] == ["hen", "owl"]
    (tmp_path / "Annotations" / "a.xml").write_text(xml(("owl", (20, 5, 30, 15), 0), ("hen", (50, 36, 55, 39), 0)))
    dataset = open_dataset(tmp_path)
    assert [name for name, *_ in seen(dataset)] == ["owl"]
    assert "no object of the .xml fits" in problems_of(dataset)[0].what
    (tmp_path / "Annotations" / "a.xml").unlink()
    assert [name for name, *_ in seen(open_dataset(tmp_path))] == ["object", "object"]


@pytest.mark.parametrize(("value", "told"), [(0, "is background under it"), (77, "has 77 under it")])
def test_an_object_without_a_class_is_one_problem(tmp_path: Path, value: int, told: str) -> None:
    ids, classes = maps()
    list_names(tmp_path)
    write(tmp_path, ids, np.where(classes == 8, value, classes))
    dataset = open_dataset(tmp_path)
    for _ in range(2):
        assert seen(dataset) == [DOG]
        (problem,) = problems_of(dataset)
    assert (problem.check, problem.objects_lost) == ("unknown-category", 1)
    assert problem.where == f"{tmp_path / 'SegmentationObject' / 'a.png'}, object 1"
    assert told in problem.what


def test_images_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    list_names(tmp_path)
    for stem in ("a", "b", "c", "d"):
        write(tmp_path, *maps(), stem=stem)
    (tmp_path / "JPEGImages" / "b.jpg").unlink()
    (tmp_path / "SegmentationObject" / "c.png").unlink()
    write_map(tmp_path / "SegmentationObject" / "d.png", np.zeros((5, 5), dtype=np.int64))
    write(tmp_path, *maps(), stem="e")
    (tmp_path / "JPEGImages" / "e.jpg").write_bytes(b"junk")
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("a\nb\nc\nd\ne\na\n")
    dataset = open_dataset(tmp_path, "train")
    assert len(dataset) == 1
    assert [problem.check for problem in problems_of(dataset)] == [
        "missing-image", "missing-mask", "size-mismatch", "unreadable-image",
    ]  # fmt: skip
    assert lost(dataset)[0] == 4
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("b\n")
    with pytest.raises(MaskRCNNError, match=r"none of 1 image can be used, the first: .*no such image"):
        open_dataset(tmp_path, "val")
    (tmp_path / "ImageSets" / "Segmentation" / "test.txt").write_bytes(b"\xff\xff")
    with pytest.raises(MaskRCNNError, match="cannot be read as text"):
        open_dataset(tmp_path, "test")


def test_a_class_map_of_another_size_is_told_when_read(tmp_path: Path) -> None:
    write(tmp_path, maps()[0], np.zeros((5, 5), dtype=np.int64))
    with pytest.raises(MaskRCNNError, match="expected a map of 40 x 60, found 5 x 5"):
        open_dataset(tmp_path).objects(0)


def test_workers_get_a_copy(tmp_path: Path) -> None:
    list_names(tmp_path)
    write(tmp_path, *maps())
    assert seen(pickle.loads(pickle.dumps(open_dataset(tmp_path)))) == [CAT, DOG]
