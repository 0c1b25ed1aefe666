import base64
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.datasets.conversion.conversion import convert
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats import labelme
from maskrcnn.datasets.formats.format_registry import BY_NAME, detect
from maskrcnn.datasets.formats.labelme_shapes import shape_annotations
from maskrcnn.datasets.formats.location import Location
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks
from tests.reading import lost, problems_of

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
    assert [problem.check for problem in problems_of(dataset)] == ["no-mask"]


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
        (problem,) = problems_of(dataset)
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
        ('{"shapes": [1, 2], "imagePath": "gone.jpg", "imageData": "aGk="}', "its copy in imageData cannot be read", 2),
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
    (problem,) = problems_of(dataset)
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
    assert problems_of(dataset) == []


def test_splits_agree_on_the_classes(tmp_path: Path) -> None:
    write(tmp_path / "Train", shape("owl"), shape("_background_"))
    write(tmp_path / "val", shape("cat"), stem="b")
    assert detect(tmp_path)[0].name == "labelme"  # type: ignore[index]
    assert Source(tmp_path).splits == ["train", "val"]
    train = open_dataset(tmp_path, "train")
    assert train.names == open_dataset(tmp_path, "val").names == ("cat", "owl")
    assert [problem.check for problem in problems_of(train)] == ["background-shape"]
    assert lost(train)[1] == 0
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
    assert "1 image without a .json left out" in problems_of(dataset)[0].what


def test_no_usable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"shapes": [], "imagePath": "gone.jpg"}')
    with pytest.raises(MaskRCNNError, match=r"none of 1 \.json files can be used, the first: .*no image gone\.jpg"):
        open_dataset(tmp_path)


def test_workers_get_a_copy(tmp_path: Path) -> None:
    write(tmp_path, shape())
    assert pickle.loads(pickle.dumps(Dataset(labelme.read(Location(tmp_path))))).objects(0).ids.tolist() == [1]


@given(st.floats(-6, W + 3), st.floats(-6, H + 3), st.integers(0, 2**30))
@example(10.5, 3.5, 1)
@example(11.5, 2.5, 1)
@example(-0.5, -1.5, 1)
@settings(max_examples=100, deadline=None)
def test_a_mask_lies_at_the_nearest_pixel_halves_at_the_even_one(x: float, y: float, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 2, (5, 7)).astype(np.uint8)
    entry = shape(points=[[x, y], [x + 6, y + 4]], kind="mask", mask=png(pixels))
    (found,), problems = shape_annotations([entry], Path("a.json"), {"cat": 0}, (H, W))
    assert problems == []
    # Python's own rounding is half to even.
    left, top = round(x), round(y)
    expected = {
        (top + row, left + column)
        for row, column in np.argwhere(pixels)
        if 0 <= top + row < H and 0 <= left + column < W
    }
    bitmap, column, row = found.segmentation  # type: ignore[misc]
    assert {(row + r, column + c) for r, c in np.argwhere(bitmap)} == expected


def test_a_mask_lies_where_labelme_puts_it() -> None:
    """Corner → first pixel, as labelme writes it out since it rounds: 2.5 is 2, 3.5 is 4."""
    places = {0.4: 0, 0.5: 0, 0.51: 1, 1.5: 2, 2.5: 2, 3.5: 4, 7.999: 8, 8.0: 8}
    for corner, pixel in places.items():
        points = [[corner, corner], [corner + 1, corner + 1]]
        entry = shape(points=points, kind="mask", mask=png(np.ones((2, 2), np.uint8)))
        (found,), _ = shape_annotations([entry], Path("a.json"), {"cat": 0}, (H, W))
        assert found.segmentation[1:] == (pixel, pixel)  # type: ignore[index]


@pytest.mark.parametrize("kind", ["oriented_rectangle", "rotation", "rotated_rectangle", "quadrilateral"])
def test_turned_rectangles_are_their_corners(tmp_path: Path, kind: str) -> None:
    diamond = [[10.0, 2.0], [16.0, 8.0], [10.0, 14.0], [4.0, 8.0]]
    write(tmp_path, shape(points=diamond), shape(points=diamond, kind=kind, direction=0.785))
    dataset = open_dataset(tmp_path)
    polygon, turned = dataset.objects(0).crops
    assert polygon is not None
    assert turned is not None
    assert (polygon.bitmap == turned.bitmap).all()
    assert polygon[1:] == turned[1:]
    assert polygon.area == pytest.approx(72, abs=6)
    assert problems_of(dataset) == []
    write(tmp_path, shape(points=diamond[:3], kind=kind))
    (problem,) = problems_of(open_dataset(tmp_path))
    assert "expected 4 corners, found 3" in problem.what


def test_what_is_to_be_ignored_is_a_crowd_of_every_class(tmp_path: Path) -> None:
    square = [[12.0, 3.0], [14.0, 3.0], [14.0, 5.0], [12.0, 5.0]]
    write(
        tmp_path,
        shape("__ignore__", square),
        shape("cat"),
        shape("dog"),
        shape("__ignore__", [[20.0, 3.0], [25.0, 9.0]], "rectangle"),
        shape("_background_", [[1.0, 1.0]], "point"),
    )
    dataset = open_dataset(tmp_path)
    objects = dataset.objects(0)
    assert dataset.names == ("cat", "dog")
    found = list(zip(objects.labels.tolist(), objects.boxes.tolist(), objects.crowd.tolist(), strict=True))
    assert found == [
        (0, [2, 3, 8, 9], False),
        (1, [2, 3, 8, 9], False),
        (0, [12, 3, 14, 5], True),
        (1, [12, 3, 14, 5], True),
        (0, [20, 3, 25, 9], True),
        (1, [20, 3, 25, 9], True),
    ]
    assert len(set(objects.ids.tolist())) == 6
    assert objects.ids.tolist()[:3] == [2, 3, 1]
    assert [(problem.check, problem.objects_lost) for problem in problems_of(dataset)] == [("background-shape", 0)]
    assert "1 shape labelled _background_" in problems_of(dataset)[0].what


@pytest.mark.parametrize(
    "points",
    [
        [{"x": x, "y": y} for x, y in SQUARE],
        [value for point in SQUARE for value in point],
        [[str(x), str(y)] for x, y in SQUARE],
    ],
)
def test_points_in_another_nesting(tmp_path: Path, points: Any) -> None:
    write(tmp_path, shape(points=points))
    dataset = open_dataset(tmp_path)
    assert dataset.objects(0).boxes.tolist() == [[2, 3, 8, 9]]
    assert problems_of(dataset) == []


def test_labels_that_are_numbers_are_names(tmp_path: Path) -> None:
    write(tmp_path, shape(3), shape("3"), shape(2.0), shape(2.5), shape(True))
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("2", "2.5", "3")
    assert dataset.objects(0).labels.tolist() == [2, 2, 0, 1]
    assert [problem.check for problem in problems_of(dataset)] == ["unknown-category"]


def test_a_group_is_a_number_or_a_name_and_never_empty(tmp_path: Path) -> None:
    groups = [0, 0.0, "0", "", "", -1, None]
    write(tmp_path, *(shape(group_id=group) for group in groups))
    assert open_dataset(tmp_path).objects(0).ids.tolist() == [1, 4, 5, 6, 7]


def embedded(pixels: np.ndarray, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


PICTURE = np.random.default_rng(0).integers(0, 256, (H, W, 3)).astype(np.uint8)


@pytest.mark.parametrize(("kind", "prefix"), [("PNG", ""), ("BMP", "data:image/bmp;base64,"), ("TIFF", "")])
def test_a_picture_in_the_label_file_is_used_and_written_out(tmp_path: Path, kind: str, prefix: str) -> None:
    file = write(tmp_path / "data", shape(), imageData=prefix + embedded(PICTURE, kind))
    file.with_suffix(".jpg").unlink()
    dataset = open_dataset(tmp_path / "data")
    assert (dataset.pixels(0) == PICTURE).all()
    assert dataset.objects(0).boxes.tolist() == [[2, 3, 8, 9]]
    assert [(problem.check, problem.severity) for problem in problems_of(dataset)] == [("embedded-image", "note")]
    for link in (False, True):
        convert({"": dataset}, tmp_path / f"new{link}", BY_NAME["labelme"], link=link)
        new = open_dataset(tmp_path / f"new{link}")
        assert [record.path.name for record in new.records] == ["a" + {"TIFF": ".tif"}.get(kind, f".{kind.lower()}")]
        assert (new.pixels(0) == PICTURE).all()
        assert problems_of(new) == []


def test_the_file_goes_first_unless_only_the_copy_fits_the_labels(tmp_path: Path) -> None:
    file = write(tmp_path, shape(), imageData=embedded(PICTURE))
    dataset = open_dataset(tmp_path)
    assert (dataset.pixels(0) == 0).all()
    assert problems_of(dataset) == []
    smaller = base64.b64decode(embedded(np.zeros((5, 5, 3), dtype=np.uint8), "JPEG"))
    for content in (b"no image", smaller):
        file.with_suffix(".jpg").write_bytes(content)
        dataset = open_dataset(tmp_path)
        assert (dataset.pixels(0) == PICTURE).all()
        assert [problem.check for problem in problems_of(dataset)] == ["copy-differs", "embedded-image"]
        assert lost(dataset)[0] == 0


@pytest.mark.parametrize("data", ["aGk=", "!!", "data:image/png;base64,", [1], {"a": 1}, 7, True])
def test_a_copy_that_is_no_picture_is_told(tmp_path: Path, data: Any) -> None:
    write(tmp_path, shape())
    write(tmp_path, shape(), stem="b", imageData=data)
    assert problems_of(open_dataset(tmp_path)) == []
    (tmp_path / "b.jpg").unlink()
    dataset = open_dataset(tmp_path)
    assert [problem.check for problem in problems_of(dataset)] == ["missing-image"]
    assert "imageData cannot be read" in problems_of(dataset)[0].what


@pytest.mark.parametrize("name", ["a.json", "./a.json", "C:\\x\\a.json", "other.json", None, "", 7])
def test_a_path_that_names_no_image_leaves_the_one_beside(tmp_path: Path, name: Any) -> None:
    write(tmp_path, shape(), imagePath=name)
    dataset = open_dataset(tmp_path)
    assert [record.path.name for record in dataset.records] == ["a.jpg"]
    assert problems_of(dataset) == []


def test_a_base_name_in_two_folders_of_another_machine_is_no_name(tmp_path: Path) -> None:
    content = {"shapes": [], "imageHeight": 12, "imageWidth": 16, "imageData": None}
    for stem, path in (("one", "C:\\cam1\\1.png"), ("two", "C:\\cam2\\1.png"), ("3", "C:\\cam2\\1.png")):
        (tmp_path / f"{stem}.json").write_text(json.dumps(content | {"imagePath": path}))
    for name in ("1.png", "3.png"):
        Image.new("RGB", (16, 12)).save(tmp_path / name)
    dataset = open_dataset(tmp_path)
    # The file named as the .json is its image.
    assert [record.path.name for record in dataset.records] == ["3.png"]
    assert [problem.check for problem in problems_of(dataset) if problem.images_lost] == ["missing-image"] * 2


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
def test_base64_may_be_a_data_url_and_broken_into_lines(tmp_path: Path, head: str) -> None:
    """As base64.encodebytes breaks it; labelme's own b64decode reads it."""
    pixels = np.random.default_rng(0).integers(0, 255, (H, W, 3), dtype=np.uint8)
    picture, mask = png(pixels), png(np.ones((3, 4), dtype=bool))
    broken = ["\r\n".join(text[i : i + 20] for i in range(0, len(text), 20)) for text in (picture, mask)]
    drawn = shape(points=[[10, 5], [13, 7]], kind="mask", mask=head + broken[1])
    write(tmp_path, drawn, imageData=head + broken[0])
    (tmp_path / "a.jpg").unlink()
    dataset = open_dataset(tmp_path)
    np.testing.assert_array_equal(dataset.pixels(0), pixels)
    assert dataset.objects(0).boxes.tolist() == [[10, 5, 14, 8]]


def test_a_suffix_in_capitals_is_a_label_file_too(tmp_path: Path) -> None:
    file = write(tmp_path, shape())
    file.rename(file.with_suffix(".JSON"))
    assert open_dataset(tmp_path).names == ("cat",)
