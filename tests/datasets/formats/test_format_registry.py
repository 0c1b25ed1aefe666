from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.datasets.formats.format_registry import BY_NAME, FORMATS, detect, expected
from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.errors import MaskRCNNError


def test_the_formats() -> None:
    assert set(BY_NAME) == {"coco", "lvis", "yolo", "labelme", "cvat", "voc", "idmask", "binmask", "geojson"}
    assert all(form.layout in expected() for form in FORMATS)


def test_nothing_known_is_no_format(tmp_path: Path) -> None:
    for name in ("a.xml", "a.txt", "a.png", "sub/package.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert detect(tmp_path) is None
    assert detect(tmp_path / "a.xml") is None
    assert detect(tmp_path / "a.txt") is None
    assert detect(tmp_path / "a.png") is None


def test_a_damaged_json_is_read_as_coco_only_where_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{")
    with pytest.raises(MaskRCNNError, match="not valid JSON"):
        open_dataset(tmp_path)
    for place in ("images", "masks"):
        (tmp_path / place).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / place / "a.png")
    assert len(open_dataset(tmp_path)) == 1


def test_a_damaged_split_is_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}')
    (tmp_path / "val.json").write_text("")
    assert Source(tmp_path).splits == ["train", "val"]
    with pytest.raises(MaskRCNNError, match="not valid JSON"):
        open_dataset(tmp_path, "val")


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_no_format_stumbles_over_a_folder_of_anything(tmp_path: Path, form: object) -> None:
    for name in ("images", "masks", "labels", "train", "val", "JPEGImages", "SegmentationObject", "annotations"):
        (tmp_path / name).mkdir()
    for place in (tmp_path, tmp_path / "train", tmp_path / "annotations"):
        for name in ("b.json", "annotations.xml", "a.txt", "a.png"):
            (place / name).write_bytes(b"\xff\x00junk")
    found = form.find(tmp_path)  # type: ignore[attr-defined]
    assert isinstance(found, dict)


@pytest.mark.parametrize("split", ["", "Train"])
@pytest.mark.parametrize("form", ["idmask", "binmask", "yolo"])
def test_folders_may_be_capitalised(tmp_path: Path, form: str, split: str) -> None:
    """On file systems that tell cases apart, Images/ is not images/."""
    root = tmp_path / "Images" / split if form == "yolo" else tmp_path / split / "Images"
    labels = Path(str(root).replace("Images", "Labels" if form == "yolo" else "Masks"))
    for folder in (root, labels / "a" if form == "binmask" else labels):
        folder.mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(root / "a.png")
    if form == "yolo":
        (labels / "a.txt").write_text("0 0.1 0.1 0.9 0.1 0.9 0.9\n")
    else:
        mask = Image.fromarray(np.eye(6, 8, dtype=np.uint8))
        mask.save(labels / "a" / "1.png" if form == "binmask" else labels / "a.png")
    found = detect(tmp_path)
    assert found is not None
    assert (found[0].name, list(found[1])) == (form, [split.lower()])
    assert open_dataset(tmp_path).objects(0).ids.tolist() == [1]
