"""Conversion to every format and back, on drawn data that has all that formats differ in."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.conversion import Conversion, convert
from maskrcnn.datasets.conversion.writers import WRITERS
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.format_registry import BY_NAME, detect
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Crop
from tests.reading import problems_of

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
NAMES = list(WRITERS)
H, W = 40, 50
CLASSES = ["cat", "hot dog", "größer & <b>", "never there"]
# What a format cannot say, by the drawn objects below.
LOSES = {
    "coco": {},
    "lvis": {"crowd-listed": 1},
    "cvat": {},
    "voc": {"crowd-void": 1, "box-only": 1, "covered": 1},
    "idmask": {"box-only": 1, "layered": 1},
    "binmask": {"box-only": 1},
    "yolo": {"crowd": 1, "boxes-beside-masks": 1, "joined": 2},
    "labelme": {},
}


def square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([x, y, x + side, y, x + side, y + side, x, y + side])


def ring(x: int, y: int, side: int) -> Crop:
    bitmap = np.ones((side, side), dtype=bool)
    bitmap[2:-2, 2:-2] = False
    return Crop(bitmap, x, y)


def image(path: Path, seed: int = 0, orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (H, W, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    # A quarter turn makes W x H of what is stored as H x W.
    stored = pixels.swapaxes(0, 1) if orientation > 4 else pixels
    Image.fromarray(np.ascontiguousarray(stored)).save(path, **({"exif": exif} if orientation > 1 else {}))
    return path


def dataset(
    folder: Path, annotations: list[list[Annotation]], names: Sequence[str] = CLASSES, stems: str = "aBcd"
) -> Dataset:
    """One image for each list, the first with an unusual name."""
    known = [f"{stems[0]} b.ä.rf.1", *stems[1:]]
    records = [
        ImageRecord(7 + k, image(folder / f"{known[k]}.{'PNG' if k else 'jpg'}", k), H, W)
        for k in range(len(annotations))
    ]
    return Dataset(Labels(names, records, StoredAnnotations(annotations)))


def drawn_data(folder: Path) -> dict[str, Dataset]:
    """Holes, several parts, a crowd, a box without a mask, an overlap, an image without objects; polygons and masks."""
    parts = [square(2.25, 2.5, 6.1), square(12, 4, 5)]
    train = [
        [
            Annotation(11, 0, False, None, None, parts),
            Annotation(12, 1, False, None, None, ring(20, 2, 9)),
            Annotation(13, 2, False, None, None, [square(20, 20, 9.5)]),
            Annotation(14, 0, False, None, None, [square(24.3, 24.7, 15)]),
            Annotation(15, 1, True, None, None, Crop(np.ones((9, 12), dtype=bool), 2, 28)),
            Annotation(16, 2, False, (40.25, 2.5, 48.0, 12.125), None, None),
        ],
        [],
    ]
    val = [[Annotation(11, 2, False, None, None, Crop(np.eye(6, dtype=bool), 3, 3))]]
    return {"train": dataset(folder / "one", train), "val": dataset(folder / "two", val, stems="z")}


def back(folder: Path, name: str) -> Dataset:
    return open_dataset(folder, name or None)


def of(data: Dataset, index: int, crowd: bool) -> list[Drawn]:
    return [drawn for drawn in data.drawn(index)[0] if drawn.annotation.crowd == crowd]


def iou(one: Crop | None, other: Crop | None) -> float:
    """1.0 for two objects without a mask."""
    if one is None or other is None:
        return float(one is other)
    sides = [max(c.y + c.bitmap.shape[0] for c in (one, other)), max(c.x + c.bitmap.shape[1] for c in (one, other))]
    masks = np.zeros((2, *sides), dtype=bool)
    for mask, crop in zip(masks, (one, other), strict=True):
        mask[crop.y : crop.y + crop.bitmap.shape[0], crop.x : crop.x + crop.bitmap.shape[1]] = crop.bitmap
    return float(masks.all(axis=0).sum() / masks.any(axis=0).sum())


def by_name(data: Dataset) -> dict[str, int]:
    return {record.path.name: index for index, record in enumerate(data.records)}


def ious(before: Dataset, after: Dataset, crowd: bool = False) -> list[float]:
    """Of objects at the same place in their lists, which must be of the same classes."""
    found = []
    for record, index in zip(before.records, range(len(before)), strict=True):
        one, other = of(before, index, crowd), of(after, by_name(after)[record.path.name], crowd)
        assert [before.names[d.annotation.label] for d in one] == [after.names[d.annotation.label] for d in other]
        found += [iou(a.crop, b.crop) for a, b in zip(one, other, strict=True)]
    return found


def counts(done: Conversion) -> Counter[str]:
    return Counter({problem.check.removeprefix("convert-"): problem.objects_lost for problem in done.omissions})


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(tmp_path: Path, name: str) -> None:
    data, form = drawn_data(tmp_path), BY_NAME[name]
    calls: list[int] = []
    done = convert(data, tmp_path / "new", form, advance=lambda: calls.append(1))
    assert len(calls) == 3
    assert done.problems == []
    assert {problem.check for problem in done.omissions} == {f"convert-{kind}" for kind in LOSES[name]}
    lost = sum(problem.objects_lost for problem in done.omissions)
    crowd_lost = int(name in ("lvis", "yolo"))
    assert lost == {"lvis": 1, "voc": 1, "idmask": 1, "binmask": 1, "yolo": 1}.get(name, 0)
    assert [(w.images, w.objects) for w in done.splits.values()] == [(2, 5 - lost + crowd_lost), (1, 1)]
    if name == "yolo":
        assert (tmp_path / "new" / "data.yaml").is_file()
    found = detect(tmp_path / "new")
    assert found is not None
    assert found[0] is form
    assert Source(tmp_path / "new").splits == ["train", "val"]
    for split, before in data.items():
        after = back(tmp_path / "new", split)
        assert after.names == tuple(CLASSES)
        assert sorted(by_name(after)) == sorted(by_name(before))
        assert all(after.records[k].size == (H, W) for k in range(len(after)))
        if not WRITERS[name].takes_boxes:
            before = without_boxes(before)
        values = ious(before, after)
        if name == "voc" and split == "train":
            assert values.pop(3) == pytest.approx(1 - np.prod([29.5 - 24.3, 29.5 - 24.7]) / 225, abs=0.05)
        assert values == [1.0] * len(values)
        if WRITERS[name].takes_crowds and not crowd_lost:
            assert min(ious(before, after, crowd=True), default=1.0) == 1.0
        boxes = {d.box for k in range(len(after)) for d in after.drawn(k)[0] if d.crop is None}
        expected = {d.box for k in range(len(before)) for d in before.drawn(k)[0] if d.crop is None}
        assert np.allclose(sorted(boxes), sorted(expected), atol=1e-9)
        assert [problem.check for problem in problems_of(after)] == (
            ["no-mask"] if expected and name in NO_MASK else []
        )


# These are read at once, and tell then that some objects have no mask.
NO_MASK = ("coco", "lvis", "cvat", "labelme")


def without_boxes(data: Dataset) -> Dataset:
    kept = [[d.annotation for d in data.drawn(k)[0] if d.crop is not None] for k in range(len(data))]
    return Dataset(Labels(data.names, data.records, StoredAnnotations(kept)))


@pytest.mark.parametrize("name", NAMES)
def test_data_without_splits(tmp_path: Path, name: str) -> None:
    before = dataset(tmp_path / "old", [[Annotation(1, 0, False, None, None, [square(3, 4, 8)])], []], ["cell"])
    convert({"": before}, tmp_path / "new", BY_NAME[name])
    assert Source(tmp_path / "new").splits == (["train"] if name == "yolo" else [""])
    after = open_dataset(tmp_path / "new")
    assert after.names == ("cell",)
    assert ious(before, after) == [1.0]


@pytest.mark.parametrize("name", NAMES)
def test_image_files_stay_as_they_are(tmp_path: Path, name: str) -> None:
    data = drawn_data(tmp_path)
    for link in (False, True):
        done = convert(data, tmp_path / f"new{link}", BY_NAME[name], link=link)
        assert not any(problem.check == "convert-linked" for problem in done.omissions)
        for split, before in data.items():
            after = back(tmp_path / f"new{link}", split)
            for record in before.records:
                copy = after.records[by_name(after)[record.path.name]].path
                assert copy.read_bytes() == record.path.read_bytes()
                assert copy.samefile(record.path) == link


@pytest.mark.parametrize("name", NAMES)
def test_a_turned_image_keeps_its_labels_and_is_told(tmp_path: Path, name: str) -> None:
    record = ImageRecord(1, image(tmp_path / "old" / "a.jpg", orientation=6), H, W)
    before = Dataset(
        Labels(["x"], [record], StoredAnnotations([[Annotation(1, 0, False, None, None, [square(30, 4, 8)])]]))
    )
    done = convert({"train": before}, tmp_path / "new", BY_NAME[name])
    assert [problem.check for problem in done.omissions] == ["convert-turned"]
    after = back(tmp_path / "new", "train")
    assert after.records[0].size == (H, W)
    assert after.pixels(0).shape == (H, W, 3)
    assert ious(before, after) == [1.0]


@pytest.mark.parametrize("name", NAMES)
def test_equal_names_are_made_different(tmp_path: Path, name: str) -> None:
    records = [
        ImageRecord(k, image(tmp_path / place, k), H, W) for k, place in enumerate(["x/a.png", "y/A.png", "z/a.jpg"])
    ]
    annotations = [[Annotation(1, k, False, None, None, [square(4 * k, 4, 8)])] for k in range(3)]
    before = Dataset(Labels(["k0", "k1", "k2"], records, StoredAnnotations(annotations)))
    done = convert({"train": before}, tmp_path / "new", BY_NAME[name])
    assert [str(problem).split(": ", 1)[1] for problem in done.omissions] == [
        "images renamed, because another one has the same name or theirs cannot be written: 2"
    ]
    after = back(tmp_path / "new", "train")
    assert sorted(record.path.name for record in after.records) == ["A_2.png", "a.png", "a_3.jpg"]
    pixels = {tuple(before.pixels(k)[0, 0]): before.drawn(k)[0][0].box for k in range(3)}
    for k in range(3):
        assert after.drawn(k)[0][0].box == pixels[tuple(after.pixels(k)[0, 0])]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_label_files_cannot_hold(tmp_path: Path, name: str) -> None:
    odd = os.fsdecode(b"a\nb\xff\x01.jpg")
    record = ImageRecord(1, image(tmp_path / "old" / odd), H, W)
    annotations = [Annotation(k, k, False, None, None, [square(12 * k, 4, 8)]) for k in range(4)]
    before = Dataset(Labels([" cat ", "cat", "a\n\x00b", ""], [record], StoredAnnotations([annotations])))
    done = convert({"train": before}, tmp_path / "new", BY_NAME[name])
    assert [problem.check for problem in done.omissions] == ["convert-renamed", "convert-class-names"]
    after = back(tmp_path / "new", "train")
    assert after.names == ("cat", "a__b", "unnamed")
    assert [record.path.name for record in after.records] == ["a_b__.jpg"]
    assert [drawn.annotation.label for drawn in after.drawn(0)[0]] == [0, 0, 1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_bad_images_and_objects_are_told_and_the_rest_is_written(tmp_path: Path, name: str) -> None:
    good = Annotation(1, 0, False, None, None, [square(3, 4, 8)])
    bad = Annotation(2, 0, False, None, None, [square(300, 4, 8)])
    before = dataset(tmp_path / "old", [[good, bad], [good], [good], [good]], ["x"])
    before.records[1].path.write_bytes(b"junk")
    before.records[2].path.unlink()
    Image.new("RGB", (5, 5)).save(before.records[3].path)
    done = convert({"train": before}, tmp_path / "new", BY_NAME[name])
    assert [(p.check, p.images_lost, p.objects_lost) for p in done.problems] == [
        ("empty-mask", 0, 1), ("unreadable-image", 1, 1), ("unreadable-image", 1, 1), ("size-mismatch", 1, 1),
    ]  # fmt: skip
    assert str(before.records[3].path) in str(done.problems[3])
    assert "labels are for 40 x 50, the image has 5 x 5" in str(done.problems[3])
    after = back(tmp_path / "new", "train")
    assert [len(after.drawn(k)[0]) for k in range(len(after))] == [1]


def test_classes_of_splits_are_united_by_name(tmp_path: Path) -> None:
    one = dataset(tmp_path / "one", [[Annotation(1, 0, False, None, None, [square(3, 4, 8)])]], ["dog"])
    two = dataset(tmp_path / "two", [[Annotation(1, 1, False, None, None, [square(3, 4, 8)])]], ["cat", "dog"])
    convert({"train": one, "val": two}, tmp_path / "new", BY_NAME["yolo"])
    for split in ("train", "val"):
        after = back(tmp_path / "new", split)
        assert after.names == ("dog", "cat")
        assert after.drawn(0)[0][0].annotation.label == 0


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    before = dataset(tmp_path / "old", [[]], ["x"])
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("keep")
    with pytest.raises(MaskRCNNError, match="expected an empty folder"):
        convert({"train": before}, tmp_path / "new", BY_NAME["coco"])
    convert({"train": before}, tmp_path / "new", BY_NAME["coco"], link=True, force=True)
    convert({"train": before}, tmp_path / "new", BY_NAME["coco"], force=True)
    assert (tmp_path / "new" / "mine.txt").read_text() == "keep"
    assert before.records[0].path.stat().st_size > 0
    assert len(back(tmp_path / "new", "train")) == 1
    with pytest.raises(MaskRCNNError, match="data lies in the folder itself"):
        convert({"train": before}, tmp_path, BY_NAME["coco"], force=True)
    with pytest.raises(MaskRCNNError, match="cannot be written"):
        convert({"train": before}, tmp_path / "new" / "mine.txt", BY_NAME["coco"], force=True)


def test_images_are_copied_where_they_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr("os.link", refuse)
    done = convert({"train": dataset(tmp_path / "old", [[], []], ["x"])}, tmp_path / "new", BY_NAME["coco"], link=True)
    assert "cannot be linked to from there: 2" in str(done.omissions[0])
    assert len(back(tmp_path / "new", "train")) == 2


def test_a_crowd_that_is_a_box_is_all_of_the_box(tmp_path: Path) -> None:
    crowd = Annotation(1, 0, True, (4.0, 5.0, 20.0, 30.0), None, None)
    for name in ("voc", "idmask", "binmask"):
        convert({"train": dataset(tmp_path / "old", [[crowd]], ["x"])}, tmp_path / name, BY_NAME[name])
        objects = back(tmp_path / name, "train").objects(0)
        assert (objects.crowd.tolist(), objects.boxes.tolist()) == ([True], [[4, 5, 20, 30]])


def test_more_objects_than_a_palette_or_a_byte_holds(tmp_path: Path) -> None:
    many = [Annotation(k + 1, 0, False, None, None, Crop(np.ones((1, 1), bool), k % W, k // W)) for k in range(400)]
    before = dataset(tmp_path / "old", [many], ["x"])
    for name in ("voc", "idmask"):
        done = convert({"train": before}, tmp_path / name, BY_NAME[name])
        assert [problem.check for problem in done.omissions] == (["convert-many"] if name == "voc" else [])
        assert ious(before, back(tmp_path / name, "train")) == [1.0] * 400
    assert Image.open(tmp_path / "idmask" / "train" / "masks" / "a b.ä.rf.1.png").mode == "I;16"


def test_the_verdicts_of_lvis_are_told_where_they_are_lost(tmp_path: Path) -> None:
    before = dataset(tmp_path / "old", [[]], ["x"])
    before.records[0] = ImageRecord(1, before.records[0].path, H, W, absent=("x",))
    assert counts(convert({"": before}, tmp_path / "coco", BY_NAME["coco"])) == {"verdicts": 0}
    assert not counts(convert({"": before}, tmp_path / "lvis", BY_NAME["lvis"]))


CROPS = st.builds(
    lambda bits, x, y: Crop(np.array(bits, dtype=bool).reshape(4, 4), x, y).tight(),
    st.lists(st.booleans(), min_size=16, max_size=16).filter(any),
    st.integers(0, 20),
    st.integers(0, 20),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CROPS, st.integers(0, 2)), max_size=6))
@pytest.mark.parametrize("name", [name for name in NAMES if name != "voc"])
def test_any_masks_come_back_to_the_pixel(
    tmp_path_factory: pytest.TempPathFactory, name: str, objects: list[tuple[Crop, int]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    found = [
        Annotation(k + 1, label, False, None, None, Crop(crop.bitmap, crop.x or 0, crop.y))
        for k, (crop, label) in enumerate(objects)
    ]
    before = dataset(folder / "old", [found])
    done = convert({"train": before}, folder / "new", BY_NAME[name])
    assert sum(problem.objects_lost for problem in [*done.omissions, *done.problems]) == 0
    assert ious(before, back(folder / "new", "train")) == [1.0] * len(objects)


def overlapped(data: Dataset, index: int) -> list[bool]:
    """Whether each single object shares a pixel with another."""
    drawn = of(data, index, False)
    total = np.zeros(data.records[index].size, dtype=np.int32)
    regions = []
    for _, crop, _ in drawn:
        assert crop is not None
        regions.append(total[crop.y : crop.y + crop.bitmap.shape[0], crop.x : crop.x + crop.bitmap.shape[1]])
        regions[-1][crop.bitmap] += 1
    return [bool((region[d.crop.bitmap] > 1).any()) for region, d in zip(regions, drawn, strict=True) if d.crop]


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real data beside the repository")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("source", "images"), [("coco_mini", 8), ("nuclei", 4), ("mushroom", 1), ("balloon", 8)])
def test_real_data_goes_through_every_format(tmp_path: Path, source: str, images: int, name: str) -> None:
    whole = open_dataset(SHARED / source, "val")
    before = Dataset(
        Labels(whole.names, whole.records[:images], StoredAnnotations([whole.annotations(k)[0] for k in range(images)]))
    )
    done = convert({"val": before}, tmp_path / "new", BY_NAME[name], link=True)
    after = back(tmp_path / "new", "val")
    assert after.names == before.names
    assert len(after) == images
    assert done.splits["val"].objects == sum(len(of(before, k, False)) for k in range(images))
    values = ious(before, after)
    if name == "voc":
        apart = [not over for k in range(images) for over in overlapped(before, k)]
        assert np.mean(values) > 0.96
        values = [value for value, alone in zip(values, apart, strict=True) if alone]
    assert values == [1.0] * len(values)
    if name not in ("lvis", "yolo", "voc"):
        assert ious(before, after, crowd=True) == [1.0] * done.splits["val"].crowd


def test_ids_are_kept_where_they_can_be(tmp_path: Path) -> None:
    data = drawn_data(tmp_path)
    convert(data, tmp_path / "new", BY_NAME["coco"])
    content = json.loads((tmp_path / "new" / "train.json").read_text(encoding="utf-8"))
    assert [entry["id"] for entry in content["annotations"]] == [11, 12, 13, 14, 15, 16]
    assert [entry["id"] for entry in content["images"]] == [7, 8]


def test_a_format_that_is_read_alone_is_said_so_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match="GeoJSON is read, not written"):
        convert({}, tmp_path / "new", BY_NAME["geojson"])
    assert not (tmp_path / "new").exists()
