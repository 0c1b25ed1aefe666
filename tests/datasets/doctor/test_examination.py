"""Each fault planted into clean data is found under its own name, and nothing else is."""

from __future__ import annotations

import ast
import copy
import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import maskrcnn
from maskrcnn.datasets.conversion.conversion import convert
from maskrcnn.datasets.conversion.writers import WRITERS
from maskrcnn.datasets.doctor.checks import CHECKS
from maskrcnn.datasets.doctor.diagnosis import Diagnosis
from maskrcnn.datasets.doctor.examination import examine
from maskrcnn.datasets.formats.format_registry import BY_NAME
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.masks.rle import encode
from tests.outcomes import Outcomes

WIDTH, HEIGHT, NAMES = 160, 120, ("disc", "kite")
SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
COCO: list[tuple[str, Callable[[Any], object]]] = []
MAPS: list[tuple[str, Callable[[Any], object]]] = []


def plant(check: str) -> Callable:
    """Registers a fault under the id by which it is to be found; its name says what it is."""

    def register(spoil: Callable) -> Callable:
        (COCO if "coco" in spoil.__code__.co_varnames[:1] else MAPS).append((check, spoil))
        return spoil

    return register


def checks(diagnosis: Diagnosis) -> set[str]:
    return {finding.check for finding in diagnosis.problems}


# Files and images.


@plant("unreadable-image")
def truncated(coco: Any) -> None:
    data = coco.path().read_bytes()
    coco.path().write_bytes(data[: len(data) // 2])


@plant("unreadable-image")
def truncated_jpeg(coco: Any) -> None:
    image, path = coco.image(), coco.replace_file("a.jpg")
    image.save(path, quality=95)
    path.write_bytes(path.read_bytes()[:-2000])


@plant("unreadable-image")
def no_image(coco: Any) -> None:
    coco.path().write_text("hello")


@plant("unreadable-image")
def empty_file(coco: Any) -> None:
    coco.path().write_bytes(b"")


@plant("missing-image")
def missing(coco: Any) -> None:
    coco.path().unlink()


@plant("size-mismatch")
def resized(coco: Any) -> None:
    coco.image().resize((WIDTH * 2, HEIGHT * 2)).save(coco.path())


@plant("size-mismatch")
def turned(coco: Any) -> None:
    coco.image().transpose(Image.Transpose.ROTATE_90).save(coco.path())


def with_orientation(image: Image.Image, path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, quality=95, exif=exif)


@plant("exif-rotation")
def labels_ignore_exif(coco: Any) -> None:
    with_orientation(coco.image(), coco.replace_file("a.jpg"), 6)


@plant("exif-unclear")
def upside_down(coco: Any) -> None:
    with_orientation(coco.image(), coco.replace_file("a.jpg"), 3)


@plant("blank-image")
def black(coco: Any) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(coco.path())


@plant("tiny-image")
def tiny(coco: Any) -> None:
    coco.content["train"]["images"].append({"id": 99, "file_name": "t.png", "width": 24, "height": 20})
    coco.picture(24, 20).save(coco.folder / "train" / "t.png")
    coco.add_object("train", 99, "disc", coco.outline("disc", 12, 10, 6))


@plant("narrow-range")
def twelve_bits(coco: Any) -> None:
    for split in ("train", "val"):
        for number in range(1, len(coco.content[split]["images"]) + 1):
            grey = np.asarray(coco.image(number, split).convert("L"))
            narrow = split == "train" and number == 1
            values = grey.astype(np.uint16) * (16 if narrow else 257)
            Image.fromarray(values).save(coco.path(number, split))


@plant("channel-count")
def transparent(coco: Any) -> None:
    coco.image().convert("RGBA").save(coco.path())


@plant("channel-count")
def twelve_channels(coco: Any) -> None:
    pixels = np.asarray(coco.image())
    np.save(coco.replace_file("a.npy"), np.repeat(pixels, 4, axis=2))


@plant("mixed-colour")
def one_grey(coco: Any) -> None:
    coco.image().convert("L").save(coco.path())


@plant("several-frames")
def two_pages(coco: Any) -> None:
    image, path = coco.image(), coco.replace_file("a.tif")
    image.save(path, save_all=True, append_images=[image.resize((40, 30))])


@plant("size-spread")
def one_large(coco: Any) -> None:
    image = coco.picture(WIDTH * 12, HEIGHT * 12)
    coco.content["train"]["images"].append(
        {"id": 99, "file_name": "l.png", "width": image.width, "height": image.height}
    )
    image.save(coco.folder / "train" / "l.png")
    coco.add_object("train", 99, "disc", coco.outline("disc", 80, 60, 40))


@plant("unlisted-image")
def beside(coco: Any) -> None:
    coco.picture().save(coco.folder / "train" / "other.png")


# The same picture again.


def copy_labels(coco: Any, source: str, target: str, name: str) -> None:
    entry = {**coco.content[source]["images"][0], "id": 99, "file_name": name}
    coco.content[target]["images"].append(entry)
    for annotation in [a for a in coco.objects(source) if a["image_id"] == coco.content[source]["images"][0]["id"]]:
        number = max(a["id"] for a in coco.objects(target)) + 1
        coco.objects(target).append({**annotation, "id": number, "image_id": 99})


@plant("duplicate-image")
def copied(coco: Any) -> None:
    copy_labels(coco, "train", "train", "copy.png")
    shutil.copy(coco.path(), coco.folder / "train" / "copy.png")


@plant("similar-image")
def mirrored(coco: Any) -> None:
    copy_labels(coco, "train", "train", "copy.jpg")
    ImageOps.mirror(coco.image()).save(coco.folder / "train" / "copy.jpg", quality=50)


@plant("leak")
def trained_on_validation(coco: Any) -> None:
    copy_labels(coco, "val", "train", "copy.png")
    shutil.copy(coco.path(1, "val"), coco.folder / "train" / "copy.png")


@plant("similar-leak")
def compressed_into_validation(coco: Any) -> None:
    copy_labels(coco, "train", "val", "copy.jpg")
    coco.image().save(coco.folder / "val" / "copy.jpg", quality=40)


# The label file.


@plant("bad-entry")
def a_word_for_an_annotation(coco: Any) -> None:
    coco.objects()[-1:] = ["word"]


@plant("duplicate-image-id")
def two_images_one_id(coco: Any) -> None:
    coco.content["train"]["annotations"] = [a for a in coco.objects() if a["image_id"] != 2]
    for number, annotation in enumerate(coco.objects(), start=1):
        annotation["id"] = number
    coco.content["train"]["images"][1]["id"] = 1


def moved(annotation: dict, right: float, down: float) -> tuple[list[list[float]], list[float]]:
    polygon = np.array(annotation["segmentation"][0]).reshape(-1, 2) + np.array((right, down))
    x, y, width, height = annotation["bbox"]
    return [polygon.ravel().tolist()], [x + right, y + down, width, height]


@plant("unknown-image")
def object_of_no_image(coco: Any) -> None:
    coco.objects().append({**coco.objects()[0], "id": len(coco.objects()) + 1, "image_id": 12345})


@plant("duplicate-id")
def same_id(coco: Any) -> None:
    coco.objects()[-1]["id"] = 1


@plant("id-gaps")
def gap(coco: Any) -> None:
    del coco.objects()[3]


@plant("unknown-category")
def unlisted_class(coco: Any) -> None:
    coco.objects()[0]["category_id"] = 77


@plant("category-offset")
def from_zero(coco: Any) -> None:
    for annotation in coco.objects():
        annotation["category_id"] -= 1


@plant("category-offset")
def one_class_from_zero(coco: Any) -> None:
    for split in coco.content:
        coco.content[split]["categories"] = [{"id": 1, "name": "thing"}]
        for annotation in coco.objects(split):
            annotation["category_id"] = 0 if split == "train" else 1


@plant("bad-category")
def a_class_without_a_name(coco: Any) -> None:
    coco.content["train"]["categories"].append({"id": 3})


@plant("root-category")
def a_class_above_all(coco: Any) -> None:
    for content in coco.content.values():
        content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})
        content["categories"][1]["supercategory"] = "things"


@plant("reserved-name")
def the_background_as_a_class(coco: Any) -> None:
    for content in coco.content.values():
        content["categories"].insert(0, {"id": 0, "name": "_background_", "supercategory": None})


@plant("duplicate-category")
def one_name_twice(coco: Any) -> None:
    coco.content["train"]["categories"].append({"id": 3, "name": NAMES[0]})


@plant("class-names-alike")
def case_differs(coco: Any) -> None:
    for content in coco.content.values():
        for category, name in zip(content["categories"], ("Disc", "disc "), strict=True):
            category["name"] = name


@plant("class-order")
def swapped_in_validation(coco: Any) -> None:
    for category, name in zip(coco.content["val"]["categories"], reversed(NAMES), strict=True):
        category["name"] = name


@plant("class-shift")
def validation_one_off(coco: Any) -> None:
    categories = [{"id": number, "name": f"class {number}"} for number in range(1, 7)]
    shares = [0.4, 0.05, 0.4, 0.05, 0.1]
    for split, offset in (("train", 1), ("val", 2)):
        coco.content[split]["categories"] = categories
        coco.content[split]["annotations"] = []
        for image in coco.content[split]["images"]:
            for place, label in enumerate(coco.rng.choice(5, 32, p=shares)):
                x, y = 12 + 18 * (place % 8), 12 + 24 * (place // 8)
                added = coco.add_object(split, image["id"], "disc", coco.outline("disc", x, y, 7))
                added["category_id"] = int(label) + offset
    # All six classes must be there in both, or other checks would speak.
    coco.objects("val")[0]["category_id"] = 1
    for annotation in coco.objects()[:10]:
        annotation["category_id"] = 6


@plant("no-mask")
def box_only(coco: Any) -> None:
    del coco.objects()[0]["segmentation"]


@plant("no-shape")
def nothing_drawn(coco: Any) -> None:
    del coco.objects()[0]["segmentation"], coco.objects()[0]["bbox"]


@plant("bad-box")
def three_numbers(coco: Any) -> None:
    coco.objects()[0]["bbox"] = [1, 2, 3]
    del coco.objects()[0]["segmentation"]


@plant("box-mask-disagree")
def three_numbers_beside_a_mask(coco: Any) -> None:
    coco.objects()[0]["bbox"] = [1, 2, 3]


@plant("box-mask-disagree")
def zeros_beside_a_mask(coco: Any) -> None:
    coco.objects()[0]["bbox"] = [0, 0, 0, 0]


@plant("bad-segmentation")
def two_points(coco: Any) -> None:
    coco.objects()[0]["segmentation"] = [[1, 2, 3, 4]]


@plant("rle-size")
def width_before_height(coco: Any) -> None:
    square = encode(Crop(np.ones((20, 20), dtype=bool), 5, 5), (WIDTH, HEIGHT))
    coco.objects()[0]["segmentation"] = square


@plant("normalised-coordinates")
def shares_of_the_image(coco: Any) -> None:
    for annotation in coco.objects():
        polygon = np.array(annotation["segmentation"][0]).reshape(-1, 2) / (WIDTH, HEIGHT)
        annotation["segmentation"] = [polygon.ravel().tolist()]
        annotation["bbox"] = (np.array(annotation["bbox"]) / (WIDTH, HEIGHT, WIDTH, HEIGHT)).tolist()


# Shapes.


@plant("zero-area")
def flat_box(coco: Any) -> None:
    coco.objects()[0]["bbox"][2] = 0
    del coco.objects()[0]["segmentation"]


@plant("outside-image")
def far_away(coco: Any) -> None:
    entry = coco.objects()[0]
    entry["segmentation"], entry["bbox"] = moved(entry, 500, 0)


@plant("empty-mask")
def polygon_far_away(coco: Any) -> None:
    entry = coco.objects()[0]
    entry["segmentation"] = moved(entry, 500, 0)[0]
    del entry["bbox"]


@plant("partly-outside")
def box_beyond(coco: Any) -> None:
    coco.objects()[0]["bbox"] = [-30, 20, 75, 40]


@plant("partly-outside")
def outline_beyond(coco: Any) -> None:
    entry = coco.objects()[0]
    polygon = np.array(entry["segmentation"][0]).reshape(-1, 2) - (25, 0)
    inside = polygon.clip(0)
    entry["segmentation"] = [polygon.ravel().tolist()]
    entry["bbox"] = [0, float(inside[:, 1].min()), *np.ptp(inside, axis=0).tolist()]
    del entry["area"]


@plant("degenerate-polygon")
def a_point_beside(coco: Any) -> None:
    coco.objects()[0]["segmentation"].append([50, 30, 50, 30, 50, 30])


@plant("self-intersection")
def bow_tie(coco: Any) -> None:
    entry = coco.objects()[0]
    x, y, width, height = entry["bbox"]
    entry["segmentation"] = [[x, y, x + width, y + height, x + width, y, x, y + height]]
    del entry["area"]


@plant("box-mask-disagree")
def box_elsewhere(coco: Any) -> None:
    coco.objects()[0]["bbox"][0] += 30


@plant("xyxy-box")
def corners(coco: Any) -> None:
    for entry in coco.objects()[2:5]:
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x, y, x + width, y + height]


@plant("area-disagree")
def double_area(coco: Any) -> None:
    coco.objects()[0]["area"] *= 2


def rectangles(coco: Any, entries: list[dict]) -> None:
    for entry in entries:
        x, y, width, height = entry["bbox"]
        entry["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
        entry["area"] = width * height


@plant("mask-is-box")
def rectangle(coco: Any) -> None:
    rectangles(coco, coco.objects()[:1])


@plant("masks-are-boxes")
def many_rectangles(coco: Any) -> None:
    rectangles(coco, coco.objects()[::2])


@plant("whole-image-mask")
def everything(coco: Any) -> None:
    added = coco.add_object("train", 1, "disc", [0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT])
    added["segmentation"] = [[0, 0, WIDTH, 0, WIDTH, HEIGHT, 3, HEIGHT]]


@plant("long-object")
def thread(coco: Any) -> None:
    coco.add_object("train", 1, "disc", [10, 100, 110, 100.5, 110, 104, 10, 103])


@plant("duplicate-object")
def drawn_twice(coco: Any) -> None:
    coco.objects().append({**coco.objects()[0], "id": len(coco.objects()) + 1})


@plant("conflicting-labels")
def drawn_twice_with_two_classes(coco: Any) -> None:
    first = coco.objects()[0]
    coco.objects().append({**first, "id": len(coco.objects()) + 1, "category_id": 3 - first["category_id"]})


# What can be learned.


@plant("no-objects")
def empty_validation(coco: Any) -> None:
    coco.objects("val").clear()


@plant("no-images")
def no_entries(coco: Any) -> None:
    shutil.rmtree(coco.folder / "val")
    coco.content["val"]["images"], coco.content["val"]["annotations"] = [], []


@plant("unreadable-split")
def broken_json(coco: Any) -> None:
    coco.content["val"] = {"images": "none"}


@plant("unannotated-image")
def forgotten(coco: Any) -> None:
    coco.content["train"]["images"].append({"id": 99, "file_name": "t.png", "width": WIDTH, "height": HEIGHT})
    coco.picture().save(coco.folder / "train" / "t.png")


@plant("class-without-examples")
def never_seen(coco: Any) -> None:
    for content in coco.content.values():
        content["categories"].append({"id": 3, "name": "ring"})


@plant("class-too-rare")
def four_of_a_kind(coco: Any) -> None:
    for content in coco.content.values():
        content["categories"].append({"id": 3, "name": "ring"})
    for split in coco.content:
        for entry in coco.objects(split)[:4]:
            entry["category_id"] = 3


@plant("class-only-in-val")
def not_in_training(coco: Any) -> None:
    for entry in coco.objects():
        entry["category_id"] = 1


@plant("class-only-in-train")
def not_in_validation(coco: Any) -> None:
    for entry in coco.objects("val"):
        entry["category_id"] = 1


@plant("no-validation")
def no_validation(coco: Any) -> None:
    del coco.content["val"]
    (coco.folder / "val.json").unlink()
    shutil.rmtree(coco.folder / "val")


@plant("smaller-than-stride")
def speck(coco: Any) -> None:
    coco.content["train"]["images"].append({"id": 99, "file_name": "l.png", "width": WIDTH * 5, "height": HEIGHT * 5})
    coco.picture(WIDTH * 5, HEIGHT * 5).save(coco.folder / "train" / "l.png")
    coco.add_object("train", 99, "disc", [10, 10, 12, 10, 12, 12, 10, 12])


@plant("crowded-image")
def too_many(coco: Any) -> None:
    coco.content["train"]["annotations"] = [a for a in coco.objects() if a["image_id"] != 1]
    for number, entry in enumerate(coco.objects(), start=1):
        entry["id"] = number
    for place in range(120):
        coco.add_object("train", 1, "disc", coco.outline("disc", 8 + 10 * (place % 15), 8 + 12 * (place // 15), 4))


# Id maps.


@plant("missing-mask")
def no_map(maps: Any) -> None:
    maps.map_path().unlink()


@plant("unreadable-labels")
def truncated_map(maps: Any) -> None:
    data = maps.map_path().read_bytes()
    maps.map_path().write_bytes(data[: len(data) // 2])


@plant("size-mismatch")
def smaller_map(maps: Any) -> None:
    maps.change(1, lambda ids: ids[:-10])


@plant("exif-rotation")
def map_ignores_exif(maps: Any) -> None:
    with Image.open(maps.image_path()) as image:
        image.load()
    with_orientation(image, maps.image_path(), 8)


@plant("id-gaps")
def number_missing(maps: Any) -> None:
    maps.change(1, lambda ids: np.where(ids == 2, 0, ids))


@plant("parts-apart")
def one_number_for_two(maps: Any) -> None:
    maps.change(1, lambda ids: np.where(ids == 4, 1, ids))


@plant("ids-not-separate")
def foreground_only(maps: Any) -> None:
    for number in range(1, 6):
        maps.change(number, lambda ids: np.where(ids > 0, 255, 0).astype(np.uint8))


@pytest.mark.parametrize(("check", "spoil"), COCO, ids=[f"{check}-{spoil.__name__}" for check, spoil in COCO])
def test_a_fault_in_coco_is_found_alone(coco: Any, check: str, spoil: Callable[[Any], object]) -> None:
    spoil(coco)
    coco.save()
    diagnosis = examine(coco.folder)
    assert checks(diagnosis) == {check}, [str(finding) for finding in diagnosis.problems]
    assert (diagnosis.errors > 0) == (CHECKS[check].severity == "error")
    for finding in diagnosis.problems:
        assert finding.fix
        assert finding.split in ("train", "val", "")


@pytest.mark.parametrize(("check", "spoil"), MAPS, ids=[f"{check}-{spoil.__name__}" for check, spoil in MAPS])
def test_a_fault_in_id_maps_is_found_alone(maps: Any, check: str, spoil: Callable[[Any], object]) -> None:
    spoil(maps)
    diagnosis = examine(maps.folder)
    assert checks(diagnosis) == {check}, [str(finding) for finding in diagnosis.problems]


def test_clean_data_have_no_problems(coco: Any, maps: Any) -> None:
    assert examine(coco.folder).problems == []
    assert examine(maps.folder).problems == []


def test_outlines_joined_over_bridges_are_clean(coco: Any) -> None:
    """One outline that goes round two parts, the second the other way, over a bridge there and back."""
    first, second = square(20, 80, 12), square(120, 85, 14)[::-1]
    polygon = [*first, first[0], *second, second[0], first[0]]
    entry = coco.add_object("train", 1, "disc", [float(value) for point in polygon for value in point])
    assert entry["area"] == pytest.approx(12**2 + 14**2, rel=0.15)
    coco.save()
    assert examine(coco.folder).problems == []


def square(x: int, y: int, side: int) -> list[tuple[int, int]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def test_windows_line_ends_and_a_mark_at_the_start_are_clean(coco: Any) -> None:
    for split, content in coco.content.items():
        text = json.dumps(content, indent=1).replace("\n", "\r\n")
        (coco.folder / f"{split}.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert examine(coco.folder).problems == []


def test_more_than_twenty_kinds_are_planted() -> None:
    planted = {check for check, _ in [*COCO, *MAPS]}
    assert planted <= CHECKS.keys()
    assert len(planted) >= 60


@pytest.mark.parametrize("name", list(WRITERS))
def test_clean_data_of_any_format_have_no_problems(coco: Any, tmp_path: Path, name: str) -> None:
    datasets = {split: open_dataset(coco.folder, split) for split in ("train", "val")}
    convert(datasets, tmp_path / name, BY_NAME[name])
    assert [str(finding) for finding in examine(tmp_path / name).problems] == []


def test_a_problem_of_a_line_names_it(coco: Any, tmp_path: Path) -> None:
    convert({"train": open_dataset(coco.folder, "train")}, tmp_path / "yolo", BY_NAME["yolo"])
    labels = sorted((tmp_path / "yolo").rglob("*.txt"))[0]
    labels.write_text("0 0.1 0.1 0.3 0.1 0.3 0.3\n0 0.5\n")
    (problem,) = [found for found in examine(tmp_path / "yolo").problems if found.severity == "error"]
    assert (Path(problem.file).stem, problem.entry, problem.annotation) == (labels.stem, "line 2", None)
    assert problem.where == f"{problem.file}, line 2"


def test_all_that_readers_report_is_in_the_catalogue() -> None:
    place = {"Problem": 0, "DataError": 0, "unreadable": 1, "_lost": 1, "problem_of": 0}
    reported = set()
    package = Path(inspect.getfile(maskrcnn)).parent
    for file in (*package.joinpath("annotations").rglob("*.py"), *package.joinpath("datasets").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            index = place.get(getattr(node.func, "id", "")) if isinstance(node, ast.Call) else None
            if index is not None and len(node.args) > index and isinstance(node.args[index], ast.Constant):
                reported.add(node.args[index].value)
    assert len(reported) > 40
    assert reported <= CHECKS.keys()


WORDS: list[Any] = [None, True, -1, 0, 7, 10**30, 0.5, 1e308, float("nan"), "x", "5", "../x", [], {}, [[]], [1, 2, 3]]
WORDS += [[["a"] * 6], [[None] * 6], [[1e300] * 8], [0, 0, -3, 4], [[1, 1, 5, 5, 9, 9, 1, 1]]]
WORDS += [{"size": [1, 2], "counts": "zz"}, {"size": [120, 160], "counts": [0, 5]}]


def test_no_label_file_is_a_stack_trace(make_coco: Callable) -> None:
    outcomes = Outcomes()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(WORDS)), min_size=1, max_size=4))
    def case(changes: list[tuple[int, Any]]) -> None:
        data = make_coco(train=2, val=1, again=True)
        for number, word in changes:
            holders = [(o, k) for c in data.content.values() for o, k in places(c) if k != "licenses"]
            holder, key = holders[number % len(holders)]
            holder[key] = copy.deepcopy(word)
        data.save()
        outcomes.attempt(lambda: json.dumps(examine(data.folder).to_dict()))

    case()
    assert outcomes.succeeded > outcomes.refused


def places(content: Any) -> list[tuple[Any, Any]]:
    """Every place in nested lists and dicts that holds a value."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    return [place for key in keys for place in [(content, key), *places(content[key])]]


def test_problems_do_not_depend_on_workers(coco: Any) -> None:
    for spoil in (thread, same_id, mirrored, bow_tie):
        spoil(coco)
    coco.path(3).write_bytes(b"")
    coco.save()
    alone = examine(coco.folder, workers=0)
    assert checks(alone) == {"unreadable-image", "duplicate-id", "long-object", "similar-image"} | {"self-intersection"}
    assert examine(coco.folder, workers=2) == alone


def test_five_per_cent_corrupt_images_are_each_named(make_coco: Callable) -> None:
    data = make_coco(train=40)
    for number in (3, 17):
        data.path(number).write_bytes(data.path(number).read_bytes()[:200])
    found = examine(data.folder).problems
    assert [(f.check, f.file) for f in found] == [("unreadable-image", str(data.path(n))) for n in (3, 17)]


def test_one_image_alone(make_coco: Callable) -> None:
    data = make_coco(train=1, val=0)
    diagnosis = examine(data.folder / "train.json")
    assert checks(diagnosis) == {"class-too-rare", "no-validation"}
    assert diagnosis.images == {"": 1}


def test_no_annotations_at_all(coco: Any) -> None:
    for split in coco.content:
        coco.objects(split).clear()
    coco.save()
    assert [(f.check, f.split) for f in examine(coco.folder).problems] == [
        ("no-objects", "train"),
        ("no-objects", "val"),
    ]


def test_every_box_as_corners_without_masks(coco: Any) -> None:
    for entry in coco.objects():
        x, y, width, height = entry["bbox"]
        entry["bbox"] = [x, y, x + width, y + height]
        del entry["segmentation"]
    coco.save()
    found = examine(coco.folder).problems
    assert [f.check for f in found] == ["xyxy-box", "no-mask"]
    assert f"all {len(coco.objects())} boxes" in found[0].what


def test_a_manifest_of_several_places(coco: Any, maps: Any, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    rename = "{object: disc}"
    places = [f"  - {coco.folder}", f"  - {{path: {maps.folder}, rename: {rename}}}"]
    file.write_text("\n".join(["train:", *places, f"val: {coco.folder}"]))
    diagnosis = examine(file)
    assert [str(finding) for finding in diagnosis.problems] == []
    assert diagnosis.images == {"train": 13, "val": 4}
    coco.objects()[0]["bbox"][2] = 0
    coco.save()
    assert checks(examine(file)) == {"box-mask-disagree"}


def test_an_image_whose_objects_are_lost_is_not_called_unannotated(coco: Any) -> None:
    for entry in coco.objects():
        if entry["image_id"] == 2:
            entry["category_id"] = 9
    coco.save()
    assert checks(examine(coco.folder)) == {"unknown-category"}


def test_evidence_names_file_annotation_and_numbers(coco: Any) -> None:
    coco.objects()[4]["area"] = 5000
    coco.save()
    (finding,) = examine(coco.folder).problems
    assert finding.file == str(coco.path(2))
    assert finding.annotation == coco.objects()[4]["id"] == 5
    assert "area 5,000 is written" in finding.what


def test_ten_thousand_objects_in_one_image(make_coco: Callable) -> None:
    data = make_coco(train=1, val=0)
    entry = data.content["train"]["images"][0] | {"width": 1200, "height": 1200}
    data.picture(1200, 1200).save(data.path())
    data.content["train"] |= {"images": [entry], "annotations": []}
    for number in range(10_000):
        x, y = 6 + 12 * (number % 100), 6 + 12 * (number // 100)
        polygon = [x - 5, y - 5, x + 5, y - 4, x + 4, y + 5, x - 5, y + 5]
        annotation = {"id": number, "image_id": 1, "category_id": 1 + number % 2, "segmentation": [polygon]}
        data.objects().append(annotation)
    data.objects().append({**data.objects()[0], "id": 10_000})
    data.save()
    found = examine(data.folder / "train.json").problems
    assert [f.check for f in found] == ["duplicate-object", "crowded-image", "no-validation"]
    assert found[0].annotation == 10_000


def test_what_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(MaskRCNNError, match=r"found notes\.txt"):
        examine(tmp_path)
    with pytest.raises(MaskRCNNError, match="no such file"):
        examine(tmp_path / "nowhere")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data are not here")
def test_clean_real_data_have_no_problems() -> None:
    assert examine(SHARED / "balloon").problems == []
    assert checks(examine(SHARED / "pennfudan")) == {"no-validation"}
