import base64
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskrcnn.data import open_dataset
from maskrcnn.data.dataset import split_names
from maskrcnn.data.formats import detect, labelme
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks

W, H = 30, 20
SQUARE = [[2.0, 3.0], [8.0, 3.0], [8.0, 9.0], [2.0, 9.0]]


def png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def shape(label: Any = "cat", points: Any = SQUARE, kind: Any = "polygon", **changes: Any) -> dict[str, Any]:
    return {
        "label": label, "points": points, "group_id": None, "description": "", "shape_type": kind, "flags": {},
        "mask": None,
    } | changes  # fmt: skip


def write(folder: Path, *shapes: Any, stem: str = "a", **changes: Any) -> Path:
    content = {
        "version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": f"{stem}.jpg", "imageData": None,
        "imageHeight": H, "imageWidth": W,
    } | changes  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (W, H)).save(folder / f"{stem}.jpg")
    file = folder / f"{stem}.json"
    file.write_text(json.dumps(content, ensure_ascii=False, indent=2).replace("\n", "\r\n"), encoding="utf-8-sig")
    return file


def test_every_kind_of_shape(tmp_path: Path) -> None:
    pixels = np.zeros((3, 4), dtype=np.uint8)
    pixels[0, 1:3] = pixels[2, 3] = 1
    write(
        tmp_path,
        shape("dog"),
        shape("cat", [[12.0, 4.0], [20.0, 10.0]], "rectangle"),
        shape("cat", [[20.0, 10.0], [20.0, 14.0]], "circle"),
        shape("cat", [[10.0, 5.0], [13.0, 7.0]], "mask", mask=png(pixels)),
        shape("cat", [[5.0, 12.0], [9.0, 12.0], [9.0, 16.0]], None, flags={"crowd": True}),
    )
    dataset = open_dataset(tmp_path)
    objects = dataset.objects(0)
    assert dataset.names == ("cat", "dog")
    assert objects.labels.tolist() == [1, 0, 0, 0, 0]
    assert objects.ids.tolist() == [1, 2, 3, 4, 5]
    assert objects.crowd.tolist() == [False] * 4 + [True]
    assert objects.boxes[[0, 1, 3]].tolist() == [[2, 3, 8, 9], [12, 4, 20, 10], [11, 5, 14, 8]]
    assert objects.boxes[2].tolist() == pytest.approx([16, 6, 24, 14], abs=0.5)
    masks = Masks([crop for crop in objects.crops if crop is not None], (H, W)).dense()
    assert objects.crops[1] is None
    assert np.argwhere(masks[2]).tolist() == [[5, 11], [5, 12], [7, 13]]
    assert masks[1].sum() == pytest.approx(np.pi * 16, rel=0.05)
    assert [problem.check for problem in dataset.problems] == ["no-mask"]


def test_shapes_of_a_group_are_one_object(tmp_path: Path) -> None:
    other = [[12.0, 3.0], [14.0, 3.0], [14.0, 5.0], [12.0, 5.0]]
    write(
        tmp_path,
        shape(group_id=1),
        shape("dog", group_id=1),
        shape(points=other, group_id=1),
        shape(points=[[20.0, 10.0], [20.0, 10.0]], kind="mask", mask=png(np.ones((1, 1), np.uint8)), group_id=1),
        shape(points=other),
    )
    objects = open_dataset(tmp_path).objects(0)
    assert objects.labels.tolist() == [0, 1, 0]
    assert objects.boxes.tolist() == [[2, 3, 21, 11], [2, 3, 8, 9], [12, 3, 14, 5]]
    assert [crop.area for crop in objects.crops if crop is not None] == [36 + 4 + 1, 36, 4]


@pytest.mark.parametrize(
    ("bad", "told", "check"),
    [
        (shape(kind="linestrip"), "a linestrip has no area", "no-shape"),
        (shape(kind="point", points=[[1, 1]]), "a point has no area", "no-shape"),
        (shape(kind="points"), "a points has no area", "no-shape"),
        (shape(kind="star"), "shape_type 'star' is not known", "no-shape"),
        (shape(kind=["a"]), "is not known", "no-shape"),
        (shape(points=[[1, 1], [5, 5]]), "3 or more points, found 2", "bad-segmentation"),
        (shape(points=[[1, 1], [5, 5]], kind="circle")["points"], "expected a shape, found list", "bad-entry"),
        (shape(points=SQUARE, kind="circle"), "shape_type 'circle' is not known", "no-shape"),
        (shape(points=[[1, 1], [1, 1]], kind="circle"), "radii above 0", "zero-area"),
        (shape(points=[]), "expected points", "bad-segmentation"),
        (shape(points=None), "expected points", "bad-segmentation"),
        (shape(points=[[1, 2, 3]] * 3), "expected points", "bad-segmentation"),
        (shape(points=[["a", "b"]] * 3), "expected points", "bad-segmentation"),
        (shape(points=[[1, float("nan")]] * 3), "expected points", "bad-segmentation"),
        (shape(points=[[1, 10**400]] * 3), "expected points", "bad-segmentation"),
        (shape(points=[[1, 1e9], [2, 2], [3, 3]]), "numbers between", "bad-segmentation"),
        (shape(points=[[40, 40], [50, 40], [50, 50]]), "covers no pixel", "empty-mask"),
        (shape(points=[[5, 5], [5, 9]], kind="rectangle"), "has no area", "zero-area"),
        (shape(points=[[35, 5], [39, 9]], kind="rectangle"), "outside the 30 x 20 image", "outside-image"),
        (shape(kind="mask", mask=None), "its mask is no PNG", "bad-segmentation"),
        (shape(kind="mask", mask="!!"), "its mask is no PNG", "bad-segmentation"),
        (shape(kind="mask", mask=base64.b64encode(b"GIF89a" * 9).decode()), "its mask is no PNG", "bad-segmentation"),
        (shape(kind="mask", mask=png(np.ones((100, 100), np.uint8))), "100 x 100 pixels in an image of 30 x 20",
         "bad-segmentation"),
        (shape(kind="mask", points=[[-9, -9], [0, 0]], mask=png(np.ones((2, 2), np.uint8))), "covers no pixel",
         "empty-mask"),
        (shape(None), "its label is 'None'", "unknown-category"),
        (shape(" "), "its label is ' '", "unknown-category"),
        (shape({"a": 1}), "its label is", "unknown-category"),
        ("nonsense", "expected a shape, found str", "bad-entry"),
        (None, "expected a shape, found NoneType", "bad-entry"),
    ],
)  # fmt: skip
def test_one_bad_shape_is_one_problem_and_the_rest_survives(tmp_path: Path, bad: Any, told: str, check: str) -> None:
    write(tmp_path, shape(), bad, shape())
    dataset = open_dataset(tmp_path)
    for _ in range(2):
        assert dataset.objects(0).ids.tolist() == [1, 3]
        (problem,) = dataset.problems
        assert (problem.check, problem.objects_lost) == (check, 1)
    assert told in problem.what
    assert problem.where.startswith(str(tmp_path / "a.json"))
    assert problem.where.endswith(" 2")


@pytest.mark.parametrize(
    ("text", "told", "objects"),
    [
        ("{", "not valid JSON", 0),
        ("", "not valid JSON", 0),
        ("[1]", "found list", 0),
        ('{"version": 1}', "found version, imageData", 0),
        ('{"shapes": {}}', "list shapes", 0),
        ('{"shapes": 1.5}', "list shapes", 0),
        ('{"shapes": [1, 2], "imagePath": "gone.jpg", "imageData": "aGk="}', "labelme_export_json", 2),
        ('{"shapes": [], "imagePath": null}', "no image None", 0),
        ('{"shapes": [1], "imagePath": "a.jpg", "imageHeight": 100000, "imageWidth": 100000}', "200,000,000 pixels", 1),
        ("9" * 5000, "not valid JSON", 0),
    ],
)
def test_one_bad_file_is_one_problem(tmp_path: Path, text: str, told: str, objects: int) -> None:
    write(tmp_path, shape())
    (tmp_path / "b.json").write_text(text)
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 1
    (problem,) = dataset.problems
    assert (problem.images_lost, problem.objects_lost) == (1, objects)
    assert told in str(problem)
    assert str(tmp_path / "b.json") in problem.where


def test_the_image_is_found_however_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    for stem, name in (("a", "..\\images\\a.jpg"), ("b b", "C:\\x\\b b.JPG"), ("c", "renamed.png"), ("d", "../d.jpg")):
        file = write(tmp_path / "images", shape(), stem=stem, imagePath=name, imageHeight=None, imageWidth=None)
        file.rename(tmp_path / "labels" / file.name)
    (tmp_path / "images" / "d.jpg").rename(tmp_path / "d.jpg")
    dataset = open_dataset(tmp_path / "labels")
    assert [record.path.name for record in dataset.records] == ["a.jpg", "b b.jpg", "c.jpg", "d.jpg"]
    assert [record.size for record in dataset.records] == [(H, W)] * 4
    assert dataset.problems == []


def test_splits_agree_on_the_classes(tmp_path: Path) -> None:
    write(tmp_path / "Train", shape("owl"), shape("_background_"))
    write(tmp_path / "val", shape("cat"), stem="b")
    assert detect(tmp_path)[0].name == "labelme"  # type: ignore[index]
    assert split_names(tmp_path) == ["train", "val"]
    train = open_dataset(tmp_path, "train")
    assert train.names == open_dataset(tmp_path, "val").names == ("cat", "owl")
    assert [problem.check for problem in train.problems] == ["unknown-category"]
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nowl\nhen\n", encoding="utf-8-sig")
    assert open_dataset(tmp_path, "val").names == ("owl", "hen", "cat")


def test_a_file_by_itself(tmp_path: Path) -> None:
    file = write(tmp_path, shape())
    write(tmp_path, shape("dog"), stem="b")
    dataset = open_dataset(file)
    assert (len(dataset), dataset.names) == (1, ("cat",))


def test_images_without_labels_are_counted(tmp_path: Path) -> None:
    write(tmp_path, stem="empty")
    write(tmp_path, shape(), stem="x").unlink()
    dataset = open_dataset(tmp_path)
    assert (len(dataset), len(dataset.objects(0).ids), dataset.names) == (1, 0, ())
    assert "1 images have no .json" in dataset.problems[0].what


def test_no_usable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"shapes": [], "imagePath": "gone.jpg"}')
    with pytest.raises(MaskRCNNError, match=r"none of 1 \.json files can be used, the first: .*no image gone\.jpg"):
        open_dataset(tmp_path)


def test_workers_get_a_copy(tmp_path: Path) -> None:
    write(tmp_path, shape())
    assert pickle.loads(pickle.dumps(labelme.read(tmp_path))).objects(0).ids.tolist() == [1]
