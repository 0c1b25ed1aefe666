import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as truth
from pycocotools.coco import COCO

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats import coco
from maskrcnn.datasets.formats.location import Location
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks
from tests.reading import lost, problems_of

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
H, W = 20, 30
SQUARE = [2, 3, 8, 3, 8, 9, 2, 9]


def annotation(**changes: Any) -> dict[str, Any]:
    entry = {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [SQUARE], "bbox": [2, 3, 6, 6], "iscrowd": 0}
    entry.update(changes)
    return {key: value for key, value in entry.items() if value is not ...}


def write(folder: Path, *annotations: Any, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "height": H, "width": W}],
        "annotations": list(annotations),
        "categories": [{"id": 9, "name": "dog"}, {"id": 7, "name": "cat"}],
    }
    content.update(changes)
    (folder / "images").mkdir(exist_ok=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (W, H), "red").save(folder / "images" / name)
    path = folder / "labels.json"
    path.write_text(json.dumps(content), encoding="utf-8-sig")
    return path


def used(dataset: Dataset) -> list[int]:
    return dataset.objects(0).ids.tolist()


def test_every_form_of_segmentation(tmp_path: Path) -> None:
    mask = np.zeros((H, W), dtype=np.uint8, order="F")
    mask[3:9, 2:8] = 1
    compressed = truth.encode(mask)
    counts = [2 * H + 3] + [6, 14] * 5 + [6, H * W - 2 * H - 3 - 5 * 20 - 6]
    path = write(
        tmp_path,
        annotation(id=5),
        annotation(id=6, category_id=9, segmentation={"size": [H, W], "counts": compressed["counts"].decode()}),
        annotation(id=7, iscrowd=1, segmentation={"size": [H, W], "counts": counts}),
        annotation(id=8, bbox=...),
    )
    dataset = Dataset(coco.read(Location(path)))
    objects = dataset.objects(0)
    assert dataset.names == ("cat", "dog")
    assert (Masks(objects.crops, (H, W)).dense() == mask.astype(bool)).all()
    assert objects.boxes.dtype == np.float32
    assert objects.boxes.tolist() == [[2, 3, 8, 9]] * 4
    assert objects.labels.tolist() == [0, 1, 0, 0]
    assert objects.labels.dtype == objects.ids.dtype == np.int64
    assert objects.crowd.tolist() == [False, False, True, False]
    assert objects.ids.tolist() == [5, 6, 7, 8]
    assert problems_of(dataset) == []
    assert dataset.pixels(0).shape == (H, W, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image_id": 99}, "no image has the id 99"),
        ({"image_id": [1]}, r"no image has the id \[1\]"),
        ({"category_id": 8}, "no category has the id 8"),
        ({"bbox": [2, 3, 0, 6], "segmentation": ...}, "no area"),
        ({"bbox": [2, 3, 6, -1], "segmentation": ...}, "no area"),
        ({"bbox": [2, 3, float("nan"), 6], "segmentation": []}, "no area"),
        ({"bbox": [2, 3, 6], "segmentation": [[]]}, "expected bbox"),
        ({"bbox": [40, 3, 6, 6], "segmentation": None}, "outside the 30 x 20 image"),
        # What is outside or flat as a whole is told once.
        ({"bbox": [40, 3, 6, 6], "segmentation": [[40, 3, 46, 3, 46, 9]]}, "outside the 30 x 20 image"),
        ({"bbox": [5, 3, 0, 0], "segmentation": [[5, 3, 5, 3, 5, 3]]}, "no area"),
        ({"segmentation": ..., "bbox": ...}, "neither a mask nor a box"),
        ({"segmentation": [], "bbox": []}, "neither a mask nor a box"),
        ({"segmentation": [[1, 2, 3, 4]]}, "no polygon has 3 points"),
        ({"segmentation": [["a", "b"]]}, "lists of numbers"),
        ({"segmentation": {"size": [5, 5], "counts": [25]}}, r"RLE of size \[20, 30\], found \[5, 5\]"),
        # What shows only when the mask is drawn:
        ({"segmentation": [[50, 50, 60, 50, 60, 60]], "bbox": ...}, "no pixel"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "nan"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "found 7 values"),
        ({"segmentation": {"size": [H, W], "counts": "oooo"}}, "malformed"),
        ({"segmentation": {"size": [H, W], "counts": [5]}}, "add up to"),
    ],
)
def test_one_bad_annotation_is_one_line_and_the_rest_survives(tmp_path: Path, changes: dict, told: str) -> None:
    path = write(tmp_path, annotation(id=41), annotation(id=42, **changes), annotation(id=43))
    dataset = Dataset(coco.read(Location(path)))
    for _ in range(2):
        assert used(dataset) == [41, 43]
        assert len(problems_of(dataset)) == 1
        assert lost(dataset)[1] == 1
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(problems_of(dataset)[0])
    assert str(path) in str(problems_of(dataset)[0])
    assert "annotation 42: dropped" in str(problems_of(dataset)[0])
    assert str(problems_of(dataset)[0]).endswith(")")
    assert "\n" not in str(problems_of(dataset)[0])


def test_an_entry_that_is_no_object(tmp_path: Path) -> None:
    dataset = Dataset(coco.read(Location(write(tmp_path, "nonsense", None, annotation()))))
    assert used(dataset) == [1]
    assert lost(dataset)[1] == len(problems_of(dataset)) == 2


def test_a_wrong_bbox_gives_way_to_the_mask(tmp_path: Path) -> None:
    corners = annotation(id=3, segmentation=[[12, 9, 18, 9, 18, 15, 12, 15]], bbox=[12, 9, 18, 15])
    dataset = Dataset(coco.read(Location(write(tmp_path, corners, annotation(id=4, bbox=[1.5, 3.4, 7.0, 5.1])))))
    boxes = dataset.objects(0).boxes
    assert boxes[0].tolist() == [12, 9, 18, 15]
    assert boxes[1].tolist() == pytest.approx([1.5, 3.4, 8.5, 8.5])
    assert len(problems_of(dataset)) == 1
    assert "annotation 3: bbox" in str(problems_of(dataset)[0])
    assert lost(dataset)[1] == 0


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [2, 3, 6, -1], [2, 3, float("nan"), 6], [2, 3, 6], "?", [99, 99, 6, 6]])
@pytest.mark.parametrize("mask", [[SQUARE], SQUARE, {"size": [H, W], "counts": [43, 6, H * W - 49]}])
def test_a_box_that_is_none_gives_way_to_the_mask(tmp_path: Path, box: object, mask: object) -> None:
    dataset = Dataset(coco.read(Location(write(tmp_path, annotation(bbox=box, segmentation=mask)))))
    expected = [2, 3, 8, 9] if isinstance(mask, list) else [2, 3, 3, 9]
    for _ in range(2):
        assert dataset.objects(0).boxes.tolist() == [expected]
        (problem,) = problems_of(dataset)
        assert (problem.check, problem.severity, problem.objects_lost) == ("box-mask-disagree", "warning", 0)


def test_a_polygon_that_is_the_box_again_is_no_mask(tmp_path: Path) -> None:
    corners, sides = annotation(id=1, segmentation=[[2, 3, 8, 9]]), annotation(id=2, segmentation=[2, 3, 6, 6])
    objects = Dataset(coco.read(Location(write(tmp_path, corners, sides)))).objects(0)
    assert objects.boxes.tolist() == [[2, 3, 8, 9]] * 2
    assert objects.crops == [None, None]


def test_a_box_and_polygon_partly_outside_are_clipped(tmp_path: Path) -> None:
    out = annotation(segmentation=[[-5, -5, 6, -5, 6, 4, -5, 4]], bbox=[-5, -5, 11, 9])
    dataset = Dataset(coco.read(Location(write(tmp_path, out))))
    assert dataset.objects(0).boxes.tolist() == [[0, 0, 6, 4]]
    assert problems_of(dataset) == []


def test_images(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.png", "height": H, "width": W},
        {"id": 2, "file_name": "gone.png", "height": H, "width": W},
        {"id": 1, "file_name": "a.png", "height": H, "width": W},
        {"id": "4", "file_name": "C:\\data\\b.png"},
        {"id": 5},
        "nonsense",
    ]
    path = write(tmp_path, annotation(id=1), annotation(id=2, image_id=2), annotation(id=3, image_id=4), images=images)
    dataset = Dataset(coco.read(Location(path)))
    assert [(r.id, r.path.name, r.height, r.width) for r in dataset.records] == [(1, "a.png", H, W), (4, "b.png", H, W)]
    assert [dataset.objects(i).ids.tolist() for i in range(2)] == [[1], [3]]
    assert lost(dataset)[0] == len(problems_of(dataset)) == 4
    assert lost(dataset)[1] == 1
    told = "\n".join(map(str, problems_of(dataset)))
    assert "image 2: dropped, no file gone.png" in told
    assert "image 1: dropped, another image has the same id" in told


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"height": 10**9, "width": 10**9}, "at most 200,000,000 pixels, found width 1,000,000,000"),
        ({"id": 10**30}, "expected a whole number id"),
        ({"id": "9" * 5000}, "expected a whole number id"),
        ({"id": True, "file_name": None}, "expected a whole number id and a file_name"),
        ({"file_name": "x" * 5000}, "no file xxx"),
        ({"file_name": "a\0.png"}, "no file a"),
    ],
)
def test_an_image_entry_that_cannot_be(tmp_path: Path, entry: dict, told: str) -> None:
    good = {"id": 2, "file_name": "b.png", "height": H, "width": W}
    images = [{"id": 1, "file_name": "a.png", "height": H, "width": W} | entry, good]
    dataset = Dataset(coco.read(Location(write(tmp_path, annotation(image_id=2), images=images))))
    assert len(dataset) == lost(dataset)[0] == 1
    assert told in problems_of(dataset)[0].what


@pytest.mark.parametrize("huge", [10**400, -(10**400), "1" + "0" * 400])
@pytest.mark.parametrize("place", ["bbox", "segmentation", "area", "id", "category_id", "image_id"])
def test_numbers_beyond_all_bounds_are_no_crash(tmp_path: Path, place: str, huge: object) -> None:
    value = {"bbox": [2, 3, huge, 6], "segmentation": [[huge, 1, 2, 3, 4, 5]]}.get(place, huge)
    dataset = Dataset(
        coco.read(Location(write(tmp_path, annotation(id=41), annotation(**({"id": 42} | {place: value})))))
    )
    assert 41 in used(dataset)
    # A box gives way to the mask beside it.
    assert lost(dataset)[1] == (place not in ("area", "id", "bbox"))


def test_numbers_as_text_are_numbers(tmp_path: Path) -> None:
    text = annotation(
        bbox=["2", "3", "6.0", "6"], segmentation=[[str(v) for v in SQUARE]], image_id="1", category_id="7"
    )
    dataset = Dataset(
        coco.read(Location(write(tmp_path, text, annotation(id=2, iscrowd="0"), annotation(id=3, iscrowd="1"))))
    )
    assert dataset.objects(0).boxes.tolist() == [[2, 3, 8, 9]] * 3
    assert dataset.objects(0).crowd.tolist() == [False, False, True]
    assert problems_of(dataset) == []


def test_ids_and_sizes_in_any_type(tmp_path: Path) -> None:
    images = [
        {"id": "img_a", "file_name": "a.png", "height": str(H), "width": f"{W}.0"},
        {"id": 2.0, "file_name": "b.png", "height": float(H), "width": W},
    ]
    categories = [{"id": "7", "name": "cat"}, {"id": "d", "name": 0}, {"id": 9.0, "name": "no"}]
    path = write(
        tmp_path,
        annotation(id="x", image_id="img_a", category_id=7),
        annotation(id=5.0, image_id="2", category_id="d"),
        annotation(id="6", image_id=2, category_id="9.0"),
        images=images,
        categories=categories,
    )
    dataset = Dataset(coco.read(Location(path)))
    assert dataset.names == ("cat", "no", "0")
    assert [(record.id, record.size) for record in dataset.records] == [(3, (H, W)), (2, (H, W))]
    assert [dataset.objects(i).labels.tolist() for i in range(2)] == [[0], [2, 1]]
    assert [dataset.objects(i).ids.tolist() for i in range(2)] == [[7], [5, 6]]
    assert problems_of(dataset) == []


def test_a_problem_names_the_annotation_as_the_file_does(tmp_path: Path) -> None:
    bad = [annotation(id=written, category_id=99) for written in (4, "5", "x", None)]
    dataset = Dataset(coco.read(Location(write(tmp_path, *bad, annotation(id=1)))))
    places = [(problem.annotation, problem.entry) for problem in dataset.problems]
    assert places == [(4, ""), (5, ""), (None, "annotation x"), (None, "annotation number 4")]
    assert dataset.problems[3].where.endswith(", annotation number 4")


@pytest.mark.parametrize(
    "bad", ["x", None, {"id": 8}, {"name": "owl"}, {"id": 8, "name": None}, {"id": 7, "name": "b"}]
)
def test_one_bad_category_is_one_line(tmp_path: Path, bad: object) -> None:
    categories = [{"id": 7, "name": "cat"}, bad]
    dataset = Dataset(
        coco.read(Location(write(tmp_path, annotation(), annotation(id=2, category_id=8), categories=categories)))
    )
    assert dataset.names == ("cat",)
    assert used(dataset) == [1]
    assert [problem.check for problem in problems_of(dataset)] == ["bad-category", "unknown-category"]


ROOT = {"id": 0, "name": "pets", "supercategory": "none"}
LEAF = {"id": 7, "name": "cat", "supercategory": "pets"}


@pytest.mark.parametrize(
    ("categories", "category_id", "names"),
    [
        ([ROOT, LEAF], 7, ("cat",)),
        ([LEAF, ROOT], "7", ("cat",)),
        # Roboflow names the root after the project, which may be a class's name too.
        ([ROOT | {"name": "cat"}, LEAF | {"supercategory": "cat"}], 7, ("cat",)),
        # With an object, an id above 0 and one class below it, a class above it or none below it, it is a class.
        ([ROOT, LEAF], 0, ("pets", "cat")),
        ([ROOT | {"id": 1}, LEAF], 7, ("pets", "cat")),
        ([ROOT | {"supercategory": "things"}, LEAF], 7, ("pets", "cat")),
        ([ROOT, LEAF | {"supercategory": "none"}], 7, ("pets", "cat")),
        ([ROOT], 0, ("pets",)),
        ([ROOT | {"id": 5}, LEAF, LEAF | {"id": 9, "name": "dog"}], 7, ("cat", "dog")),
        ([LEAF, LEAF | {"id": 8, "name": "dog"}, ROOT | {"id": 9}], 7, ("cat", "dog")),
        ([ROOT | {"id": 5}, LEAF, LEAF | {"id": 9, "name": "dog"}], 5, ("pets", "cat", "dog")),
        ([ROOT | {"id": 5}, LEAF, LEAF | {"id": 9, "name": "car", "supercategory": "none"}], 7, ("pets", "cat", "car")),
    ],
)
def test_a_category_above_all_is_no_class(
    tmp_path: Path, categories: list[dict[str, Any]], category_id: object, names: tuple[str, ...]
) -> None:
    dataset = Dataset(coco.read(Location(write(tmp_path, annotation(category_id=category_id), categories=categories))))
    assert dataset.names == names
    assert used(dataset) == [1]
    assert [problem.check for problem in problems_of(dataset)] == ["root-category"] * (len(names) < len(categories))


def test_a_huge_size_is_compared_with_the_image(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.png", "height": 14000, "width": 14000},
        {"id": 2, "file_name": "b.png", "height": H, "width": W},
    ]
    dataset = Dataset(coco.read(Location(write(tmp_path, annotation(), images=images))))
    assert [record.id for record in dataset.records] == [2]
    assert [(p.check, p.images_lost, p.objects_lost) for p in problems_of(dataset)] == [("size-mismatch", 1, 1)]


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (("instances_Train.json", "instances_Validation.json"), ["train", "validation"]),
        (("TRAIN.json", "Valid.JSON", "test.json"), ["train", "valid", "test"]),
        (("annotations/instances_train2017.json", "annotations/instances_Val2017.json"), ["train", "val"]),
        (("training.json", "testing.json"), ["training", "test"]),
    ],
)
def test_splits_in_any_case(tmp_path: Path, files: tuple[str, ...], splits: list[str]) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text('{"images": [], "annotations": [], "categories": []}')
    assert list(coco.find(tmp_path)) == splits
    assert [location.path for location in coco.find(tmp_path).values()] == [tmp_path / file for file in files]


def test_one_label_file_among_others(tmp_path: Path) -> None:
    path = write(tmp_path, annotation())
    (tmp_path / "data").mkdir()
    (tmp_path / "images" / "a.png").rename(tmp_path / "data" / "a.png")
    (tmp_path / "package.json").write_text("{}")
    assert used(open_dataset(tmp_path)) == [1]
    (tmp_path / "other.json").write_text(path.read_text(encoding="utf-8-sig"))
    assert coco.find(tmp_path) == {}


def test_images_in_folders_of_their_split(tmp_path: Path) -> None:
    path = write(tmp_path).rename(tmp_path / "instances_val.json")
    (tmp_path / "images" / "Validation" / "cam1").mkdir(parents=True)
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "Validation" / "cam1" / "a.png")
    (record,) = Dataset(coco.read(Location(path))).records
    assert record.path == tmp_path / "images" / "Validation" / "cam1" / "a.png"


def test_large_files_stay_small_in_memory(tmp_path: Path) -> None:
    """As arrays the 60 numbers of an annotation take 480 bytes, as lists 1,920."""
    polygon = np.random.default_rng(0).uniform(0, 20, 60).round(2).tolist()
    path = write(tmp_path, *(annotation(id=k, segmentation=[polygon]) for k in range(1, 4001)))
    tracemalloc.start()
    dataset = Dataset(coco.read(Location(path)))
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(dataset.annotations(0)[0]) == 4000
    assert now / 4000 < 1500
    assert peak / 4000 < 2600


def test_an_image_of_another_size_is_told_when_read(tmp_path: Path) -> None:
    path = write(tmp_path, images=[{"id": 1, "file_name": "a.png", "height": H, "width": W + 1}])
    with pytest.raises(MaskRCNNError, match=r"labels are for 20 x 31 .* the image has 20 x 30"):
        Dataset(coco.read(Location(path))).pixels(0)


def test_no_object_in_an_image(tmp_path: Path) -> None:
    objects = Dataset(coco.read(Location(write(tmp_path)))).objects(0)
    assert objects.boxes.shape == (0, 4)
    assert objects.crops == []
    assert len(objects.labels) == len(objects.crowd) == len(objects.ids) == 0


def test_equal_ids_and_names_are_noted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        annotation(id=3),
        annotation(id=3, category_id=8),
        categories=[{"id": 7, "name": "cat"}, {"id": 8, "name": "cat"}],
    )
    dataset = Dataset(coco.read(Location(path)))
    assert dataset.names == ("cat",)
    assert dataset.objects(0).labels.tolist() == [0, 0]
    assert len(problems_of(dataset)) == 2
    assert lost(dataset)[1] == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("[1, 2]", "found list"),
        ('{"images": []}', "found images"),
        ('{"images": {}, "annotations": [], "categories": []}', "expected COCO's lists"),
        ('{"images": [], "annotations": [], "categories": []}', "at least one category"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "an id and a name"),
        (
            '{"images": [{"id": 1, "file_name": "x.jpg"}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
            "none of its 1 image can be used, the first: .*no file x.jpg",
        ),
    ],
)
def test_a_file_that_is_not_coco_is_one_error(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(MaskRCNNError, match=told) as caught:
        Dataset(coco.read(Location(path)))
    assert str(path) in str(caught.value)


def test_workers_get_a_copy(tmp_path: Path) -> None:
    dataset = Dataset(coco.read(Location(write(tmp_path, annotation()))))
    assert used(pickle.loads(pickle.dumps(dataset))) == [1]


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real data beside the repository")
@pytest.mark.parametrize("split", ["val", "train"])
def test_real_data_equals_pycocotools(split: str) -> None:
    dataset = open_dataset(SHARED / "coco_mini", split)
    expected = COCO(str(SHARED / "coco_mini" / f"{split}.json"))
    category_ids = sorted(expected.cats)
    assert list(dataset.names) == [expected.cats[i]["name"] for i in category_ids]
    assert {record.id for record in dataset.records} == set(expected.imgs)
    for i in range(0, len(dataset), 10):
        record, objects = dataset.records[i], dataset.objects(i)
        annotations = expected.loadAnns(expected.getAnnIds(record.id))
        assert objects.ids.tolist() == [a["id"] for a in annotations]
        assert objects.crowd.tolist() == [bool(a["iscrowd"]) for a in annotations]
        assert [category_ids[label] for label in objects.labels] == [a["category_id"] for a in annotations]
        for mask, entry in zip(Masks(objects.crops, (record.height, record.width)).dense(), annotations, strict=True):
            assert (mask == expected.annToMask(entry)).all()
    assert problems_of(dataset) == []
