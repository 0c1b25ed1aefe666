import pickle
from pathlib import Path

import pytest
from PIL import Image

from maskrcnn.datasets.conversion.conversion import convert
from maskrcnn.datasets.formats.format_registry import BY_NAME, detect
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError
from tests.reading import problems_of

W, H = 30, 20
META = """<meta><task><labels>
<label><name>cat</name><color>#c06060</color><type>any</type><attributes></attributes></label>
<label><name>hot "dog" &amp; co</name></label>
</labels></task></meta>"""
SQUARE = (
    '<polygon label="cat" source="manual" occluded="0" points="2.00,3.00;8.00,3.00;8.00,9.00;2.00,9.00" z_order="0"/>'
)


def document(*shapes: str, meta: str = META, image: str = f'id="0" name="a.jpg" width="{W}" height="{H}"') -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\r\n<annotations>\r\n<version>1.1</version>\r\n'
        f"{meta}\r\n<image {image}>{''.join(shapes)}</image>\r\n</annotations>\r\n"
    )


def write(folder: Path, text: str, *images: str) -> Path:
    for name in images or ("images/a.jpg",):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (W, H)).save(folder / name)
    file = folder / "annotations.xml"
    file.write_text(text, encoding="utf-8", newline="")
    return file


def test_every_kind_of_shape(tmp_path: Path) -> None:
    write(
        tmp_path,
        document(
            SQUARE,
            '<box label="hot &quot;dog&quot; &amp; co" occluded="1" xtl="12.5" ytl="4" xbr="20.0" ybr="10"/>',
            # 2 x 3 pixels by rows: 0 1 1 / 1 0 1
            '<mask label="cat" source="manual" occluded="0" rle="1, 3, 1, 1" left="10" top="5" width="3" height="2"/>',
            '<ellipse label="cat" cx="20" cy="10" rx="6" ry="3" rotation="90"/>',
            '<box label="cat" xtl="10" ytl="8" xbr="20" ybr="12" rotation="90"/>',
            '<polygon label="cat" points="5,12;9,12;9,16"><attribute name="is_crowd">true</attribute></polygon>',
        ),
    )
    dataset = open_dataset(tmp_path)
    objects = dataset.objects(0)
    assert dataset.names == ("cat", 'hot "dog" & co')
    assert objects.labels.tolist() == [0, 1, 0, 0, 0, 0]
    assert objects.crowd.tolist() == [False] * 5 + [True]
    assert objects.boxes[[0, 1, 2]].tolist() == [[2, 3, 8, 9], [12.5, 4, 20, 10], [10, 5, 13, 7]]
    assert objects.boxes[3].tolist() == pytest.approx([17, 4, 23, 16], abs=0.5)
    assert objects.boxes[4].tolist() == pytest.approx([13, 5, 17, 15])
    assert objects.crops[1] is None
    assert objects.crops[4] is None
    assert objects.crops[2] is not None
    assert objects.crops[2].bitmap.astype(int).tolist() == [[0, 1, 1], [1, 0, 1]]
    assert [problem.check for problem in problems_of(dataset)] == ["no-mask"]


def test_shapes_of_a_group_are_one_object(tmp_path: Path) -> None:
    text = document(
        SQUARE.replace("z_order", 'group_id="3" z_order'),
        SQUARE,
        '<polygon label="cat" points="12,3;14,3;14,5;12,5" group_id="3"/>',
        '<mask label="cat" rle="0, 1" left="20" top="10" width="1" height="1" group_id="3"/>',
        '<polygon label="cat" points="12,3;14,3;14,5;12,5" group_id="0"/>',
    )
    write(tmp_path, text)
    objects = open_dataset(tmp_path).objects(0)
    assert [crop.area for crop in objects.crops if crop is not None] == [36 + 4 + 1, 36, 4]


@pytest.mark.parametrize(
    ("bad", "told", "check"),
    [
        ('<polyline label="cat" points="1,1;2,2;3,3"/>', "a polyline has no area", "no-shape"),
        ('<points label="cat" points="1,1"/>', "a points has no area", "no-shape"),
        ('<cuboid label="cat"/>', "a cuboid has no area", "no-shape"),
        ('<star label="cat"/>', "the shape star is not known", "no-shape"),
        ('<polygon label="dog" points="1,1;2,2;3,3"/>', "declares no label 'dog'", "unknown-category"),
        ('<polygon points="1,1;2,2;3,3"/>', "declares no label None", "unknown-category"),
        ('<polygon label="cat" points="1,1;2,2"/>', "3 or more points, found 2", "bad-segmentation"),
        ('<polygon label="cat" points=""/>', "expected points", "bad-segmentation"),
        ('<polygon label="cat"/>', "expected points", "bad-segmentation"),
        ('<polygon label="cat" points="1;2;3"/>', "expected points", "bad-segmentation"),
        ('<polygon label="cat" points="a,b;1,2;3,4"/>', "expected points", "bad-segmentation"),
        ('<polygon label="cat" points="1,nan;1,2;3,4"/>', "expected points", "bad-segmentation"),
        ('<polygon label="cat" points="1,1e9;1,2;3,4"/>', "numbers between", "bad-segmentation"),
        ('<polygon label="cat" points="40,40;50,40;50,50"/>', "covers no pixel", "empty-mask"),
        ('<box label="cat" xtl="1" ytl="1" xbr="x" ybr="5"/>', "xbr='x'", "bad-box"),
        ('<box label="cat" xtl="1" ytl="1" xbr="5"/>', "ybr=None", "bad-box"),
        ('<box label="cat" xtl="5" ytl="1" xbr="5" ybr="5"/>', "has no area", "zero-area"),
        ('<box label="cat" xtl="35" ytl="1" xbr="39" ybr="5"/>', "outside the 30 x 20 image", "outside-image"),
        ('<ellipse label="cat" cx="20" cy="10" rx="0" ry="3"/>', "radii above 0", "zero-area"),
        ('<mask label="cat" rle="0, 5" left="1" top="1" width="2" height="2"/>', "do not fit", "bad-segmentation"),
        ('<mask label="cat" rle="5, -1" left="1" top="1" width="2" height="2"/>', "do not fit", "bad-segmentation"),
        ('<mask label="cat" rle="" left="1" top="1" width="2" height="2"/>', "run lengths", "bad-segmentation"),
        ('<mask label="cat" rle="1" left="1" top="1" width="0" height="2"/>', "mask of 0 x 2", "bad-segmentation"),
        ('<mask label="cat" rle="1" left="1" top="1" width="99999" height="99999"/>', "99999", "bad-segmentation"),
        (f'<mask label="cat" rle="{9**30}" left="1" top="1" width="2" height="2"/>', "run lengths", "bad-segmentation"),
        ('<mask label="cat" rle="0, 4" left="1e9" top="1" width="2" height="2"/>', "covers no pixel", "empty-mask"),
    ],
)
def test_one_bad_shape_is_one_problem_and_the_rest_survives(tmp_path: Path, bad: str, told: str, check: str) -> None:
    write(tmp_path, document(SQUARE, bad, SQUARE))
    dataset = open_dataset(tmp_path)
    for _ in range(2):
        assert dataset.objects(0).ids.tolist() == [1, 3]
        (problem,) = problems_of(dataset)
        assert (problem.check, problem.objects_lost) == (check, 1)
    assert told in problem.what
    assert str(tmp_path / "annotations.xml") in problem.where
    assert problem.where.endswith(" 2")


def test_masks_that_reach_outside_are_cut(tmp_path: Path) -> None:
    shapes = (
        '<mask label="cat" rle="0, 16" left="-2" top="-1" width="4" height="4"/>',
        '<mask label="cat" rle="0, 16" left="28" top="18" width="4" height="4"/>',
        '<mask label="cat" rle="0, 2" left="4" top="4" width="4" height="1"/>',
    )
    write(tmp_path, document(*shapes))
    assert open_dataset(tmp_path).objects(0).boxes.tolist() == [[0, 0, 2, 3], [28, 18, 30, 20], [4, 4, 6, 5]]


def two(first: str, second: str) -> str:
    size = f'width="{W}" height="{H}"'
    images = f'<image id="0" name="a.jpg"{first} {size}>{SQUARE}</image><image id="1" name="b.jpg"{second} {size}/>'
    return f"<annotations>{META}{images}</annotations>"


@pytest.mark.parametrize(
    ("first", "second", "splits"),
    [
        ("", "", [""]),
        (' subset="default"', ' subset="default"', [""]),
        (' subset="Train"', ' subset="Validation"', ["train", "validation"]),
        (" subset='Train'", "", ["default", "train"]),
    ],
)
def test_subsets_are_splits(tmp_path: Path, first: str, second: str, splits: list[str]) -> None:
    file = write(tmp_path, two(first, second), "images/a.jpg", "images/Validation/b.jpg", "images/b.jpg")
    assert Source(tmp_path).splits == Source(file).splits == splits
    if splits == [""]:
        assert len(open_dataset(tmp_path)) == 2
    else:
        assert [r.path.name for r in open_dataset(tmp_path, "train").records] == ["a.jpg"]
        other = open_dataset(tmp_path, "val" if "Val" in second else "default")
        assert [r.path.name for r in other.records] == ["b.jpg"]
        assert other.names == ("cat", 'hot "dog" & co')


def test_a_file_a_split_folder(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path / split, document(SQUARE))
    assert detect(tmp_path)[0].name == "cvat"  # type: ignore[index]
    assert len(open_dataset(tmp_path, "val").objects(0).ids) == 1


def test_labels_are_collected_where_none_is_declared(tmp_path: Path) -> None:
    write(tmp_path, document(SQUARE, SQUARE.replace("cat", "dog"), meta=""))
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("cat", "dog")
    assert dataset.objects(0).labels.tolist() == [0, 1]


def test_an_image_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    text = document(SQUARE).replace(
        "</annotations>", f'<image id="1" name="gone.jpg">{SQUARE * 3}</image></annotations>'
    )
    text = text.replace("</annotations>", '<image id="2" name="a.jpg" width="99999999" height="9999"/></annotations>')
    write(tmp_path, text)
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 1
    assert [(p.check, p.images_lost, p.objects_lost) for p in problems_of(dataset)] == [
        ("missing-image", 1, 3), ("bad-size", 1, 0),
    ]  # fmt: skip


def test_tags_are_counted_and_a_missing_size_is_read(tmp_path: Path) -> None:
    write(tmp_path, document(SQUARE, '<tag label="cat"/>', image='id="0" name="sub\\a.jpg" width="x"'))
    dataset = open_dataset(tmp_path)
    assert dataset.records[0].size == (H, W)
    assert [problem.check for problem in problems_of(dataset)] == ["image-tag"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<annotations><track/></annotations>", "is CVAT for video"),
        ("<annotations/>", "none of its 0 images"),
        ("<annotations><image", "not usable XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotations></annotations>', "declares a document type"),
    ],
)
def test_another_file_is_one_error(tmp_path: Path, text: str, told: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(MaskRCNNError, match=told) as caught:
        open_dataset(file)
    assert str(file) in str(caught.value)


def test_workers_get_a_copy(tmp_path: Path) -> None:
    write(tmp_path, document(SQUARE))
    assert pickle.loads(pickle.dumps(open_dataset(tmp_path))).objects(0).ids.tolist() == [1]


def labels(*entries: str) -> str:
    return f"<meta><task><labels>{''.join(f'<label>{entry}</label>' for entry in entries)}</labels></task></meta>"


@pytest.mark.parametrize("kind", ["skeleton", "points", "polyline", "cuboid", "tag"])
def test_labels_of_what_has_no_area_are_no_classes(tmp_path: Path, kind: str) -> None:
    meta = labels(f"<name>other</name><type>{kind}</type>", "<name>cat</name><type>polygon</type>")
    write(tmp_path, document(SQUARE, meta=meta))
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("cat",)
    assert [problem.check for problem in problems_of(dataset)] == ["label-without-area"]
    assert f"other ({kind})" in problems_of(dataset)[0].what
    # Its type was changed after it was used.
    write(tmp_path, document(SQUARE, SQUARE.replace("cat", "other"), meta=meta))
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("cat", "other")
    assert dataset.objects(0).labels.tolist() == [0, 1]
    assert problems_of(dataset) == []


def test_a_name_that_is_a_part_and_a_label_is_a_class(tmp_path: Path) -> None:
    meta = labels(
        "<name>pose</name><type>skeleton</type>",
        "<name>cat</name><type>points</type><parent>pose</parent>",
        "<name>cat</name><type>any</type><parent></parent>",
    )
    write(tmp_path, document(SQUARE, meta=meta))
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("cat",)
    assert dataset.objects(0).labels.tolist() == [0]


def test_without_a_list_only_shapes_with_area_name_classes(tmp_path: Path) -> None:
    skeleton = '<skeleton label="pose"><points label="1" points="1,1"/></skeleton><points label="dot" points="1,1"/>'
    write(tmp_path, document(SQUARE, skeleton, '<tag label="day"/>', meta=""))
    assert open_dataset(tmp_path).names == ("cat",)


def test_tracks_beside_images_are_told(tmp_path: Path) -> None:
    text = document(SQUARE).replace(
        "</annotations>", '<track id="0" label="cat"><box frame="0"/></track></annotations>'
    )
    write(tmp_path, text)
    dataset = open_dataset(tmp_path)
    assert len(dataset.objects(0).ids) == 1
    assert [problem.check for problem in problems_of(dataset)] == ["track"]


def test_splits_are_looked_for_in_linear_time(tmp_path: Path) -> None:
    write(tmp_path, "<annotations>" + "<image " * 200_000)
    with pytest.raises(MaskRCNNError, match="not usable XML"):
        open_dataset(tmp_path)


def test_names_of_splits_stay_in_the_folder(tmp_path: Path) -> None:
    subsets = ["../../evil", "..", "/tmp/x", "a\\b", "A b", "9" * 5000, "9" * 5001]
    images = "".join(
        f'<image id="{k}" name="{k}.jpg" subset="{name}" width="{W}" height="{H}">{SQUARE}</image>'
        for k, name in enumerate(subsets)
    )
    text = f"<annotations>{META}{images}</annotations>"
    write(tmp_path / "data", text, *(f"images/{k}.jpg" for k in range(len(subsets))))
    splits = Source(tmp_path / "data").splits
    assert len(splits) == len(set(splits)) == len(subsets)
    assert "a b" in splits
    datasets = {split: open_dataset(tmp_path / "data", split) for split in splits}
    assert {len(dataset.objects(0).ids) for dataset in datasets.values()} == {1}
    new = tmp_path / "below" / "new"
    convert(datasets, new, BY_NAME["cvat"])
    written = [path for path in tmp_path.rglob("*.jpg") if not path.is_relative_to(tmp_path / "data")]
    assert len(written) == len(subsets)
    assert all(path.resolve().is_relative_to(new) for path in written)
    with pytest.raises(MaskRCNNError, match="names of splits"):
        convert({"../x": datasets["a b"]}, tmp_path / "other", BY_NAME["cvat"])
    assert not (tmp_path / "x").exists()


def test_names_that_folders_alone_tell_apart(tmp_path: Path) -> None:
    shape = '<polygon label="cat" points="1,1;5,1;5,5"/>'
    images = "".join(
        f'<image id="{k}" name="{name}" width="16" height="12">{shape}</image>'
        for k, name in enumerate(("D:/cam1/1.png", "D:/cam2/1.png", "D:/cam2/2.png"))
    )
    images = images.replace('"D:/cam2/1.png"', "'D:/cam2/1.png'")
    (tmp_path / "annotations.xml").write_text(f"<annotations>{images}</annotations>")
    (tmp_path / "images" / "cam2").mkdir(parents=True)
    for place in ("1.png", "2.png", "cam2/1.png"):
        Image.new("RGB", (16, 12)).save(tmp_path / "images" / place)
    dataset = open_dataset(tmp_path)
    found = [record.path.relative_to(tmp_path / "images").as_posix() for record in dataset.records]
    assert found == ["cam2/1.png", "2.png"]
    (problem,) = problems_of(dataset)
    assert (problem.check, problem.images_lost) == ("missing-image", 1)
    assert "D:/cam1/1.png" in problem.where
    assert "ambiguous" in problem.what


def test_sizes_are_read_as_in_other_formats(tmp_path: Path) -> None:
    write(tmp_path, document(SQUARE, image='id="0" name="a.jpg" width="40.0" height="25.0"'))
    assert open_dataset(tmp_path).records[0].size == (25, 40)
