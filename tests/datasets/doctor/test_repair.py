"""A corrected copy has the fault no more, keeps all that was right, and leaves the data alone."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.datasets import doctor
from maskrcnn.datasets.doctor import coco_fixes
from maskrcnn.datasets.doctor.checks import CHECKS
from maskrcnn.datasets.doctor.coco_fixes import clip_polygon, make_ids_unique, reset_orientation
from maskrcnn.datasets.doctor.examination import examine
from maskrcnn.datasets.doctor.repair import repair
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_reader import read_header, read_image
from maskrcnn.masks.polygons import rasterise


def fingerprints(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def spoil(coco: Any) -> None:
    """One of each fault that can be mended without changing which pictures there are."""
    objects = coco.objects()
    objects[0]["bbox"][2] = 0
    x, y, width, height = objects[2]["bbox"]
    objects[2]["bbox"] = [x, y, x + width, y + height]
    objects[3]["bbox"] = [-40, 20, 90, 40]
    objects[4]["area"] *= 3
    objects[5]["bbox"][0] += 9
    objects[-1]["id"] = 10
    objects.append({**objects[6], "id": 901})
    polygon = (np.array(objects[7]["segmentation"][0]) + 900).tolist()
    objects.append({**objects[7], "id": 902, "segmentation": [polygon], "bbox": [900, 900, 20, 20]})
    objects.append({**objects[8], "id": 903, "segmentation": [polygon], "bbox": None})
    objects.append({**objects[8], "id": 904, "image_id": 777})
    coco.save()


def test_one_copy_mends_everything(coco: Any, tmp_path: Path) -> None:
    truth = {entry["id"]: copy.deepcopy(entry) for entry in coco.objects()[:-1]}
    spoil(coco)
    before, original = examine(coco.folder), fingerprints(coco.folder)
    assert before.errors
    done = repair(coco.folder, tmp_path / "copy")
    assert done.after.problems == []
    assert fingerprints(coco.folder) == original
    assert examine(tmp_path / "copy").problems == []
    assert {f.check for f in before.problems if f.fixable} == done.fixed.keys()
    content = read(tmp_path / "copy" / "train.json")
    assert content["licenses"] == ["kept"]
    mended = {entry["id"]: entry for entry in content["annotations"]}
    assert len(mended) == len(coco.objects()) - 4
    for number, entry in truth.items():
        assert np.allclose(mended[number]["bbox"], entry["bbox"], atol=2.5), number
        assert mended[number]["area"] == entry["area"]
        assert mended[number]["segmentation"] == entry["segmentation"]


def test_copies_and_leaks_go_but_one_stays(coco: Any, tmp_path: Path) -> None:
    for number, (split, name) in enumerate((("train", "again.png"), ("val", "leak.png")), start=91):
        shutil.copy(coco.path(), coco.folder / split / name)
        coco.content[split]["images"].append({"id": number, "file_name": name, "width": 160, "height": 120})
        for entry in [a for a in coco.objects() if a["image_id"] == 1]:
            coco.objects(split).append({**entry, "id": len(coco.objects(split)) + 1, "image_id": number})
    coco.save()
    done = repair(coco.folder, tmp_path / "copy")
    assert done.fixed == {"duplicate-image": 1, "leak": 1}
    assert done.left_out == ["left out, leak: 1 image, 3 objects", "left out, duplicate-image: 1 image, 3 objects"]
    assert done.after.errors == 0
    assert [len(open_dataset(tmp_path / "copy", split)) for split in ("train", "val")] == [7, 5]
    assert len(list((tmp_path / "copy" / "train").iterdir())) == 7


def test_copies_with_different_labels_are_for_people_to_decide(coco: Any, tmp_path: Path) -> None:
    shutil.copy(coco.path(), coco.folder / "train" / "again.png")
    coco.content["train"]["images"].append({"id": 91, "file_name": "again.png", "width": 160, "height": 120})
    coco.add_object("train", 91, "disc", coco.outline("disc", 80, 60, 20))
    coco.save()
    done = repair(coco.folder, tmp_path / "copy")
    (finding,) = done.after.problems
    assert (finding.check, finding.fixable) == ("duplicate-image", False)
    assert "objects here 1, there 3" in finding.what


def test_bad_images_are_left_out_and_told(coco: Any, tmp_path: Path) -> None:
    coco.path(1).unlink()
    coco.path(2).write_bytes(coco.path(2).read_bytes()[:500])
    done = repair(coco.folder, tmp_path / "copy")
    assert done.left_out == [
        "left out, missing-image: 1 image, 3 objects",
        "left out, unreadable-image: 1 image, 3 objects",
    ]
    assert done.fixed == {"unreadable-image": 1}
    assert done.after.images["train"] == 6
    assert done.after.errors == 0


def test_labels_that_ignore_exif_fit_the_copy(coco: Any, tmp_path: Path) -> None:
    image, path = coco.image(), coco.replace_file("a.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, quality=95, exif=exif)
    coco.save()
    stored = np.asarray(Image.open(path))
    done = repair(coco.folder, tmp_path / "copy")
    assert done.fixed == {"exif-rotation": 1}
    assert done.after.problems == []
    assert (read_image(tmp_path / "copy" / "train" / "a.jpg").pixels == stored).all()


def test_id_maps_become_coco(maps: Any, tmp_path: Path) -> None:
    maps.map_path(2).unlink()
    (maps.folder / "train" / "images" / "6.jpg").write_bytes(maps.image_path(1).read_bytes())
    shutil.copy(maps.map_path(1), maps.map_path(6))
    done = repair(maps.folder, tmp_path / "copy")
    assert done.left_out == [
        "left out, missing-mask: 1 image, 0 objects",
        "left out, duplicate-image: 1 image, 4 objects",
    ]
    assert done.fixed == {"duplicate-image": 1}
    assert done.after.problems == []
    assert done.after.objects == {"train": 16, "val": 8}


def test_a_manifest_becomes_one_data_set(coco: Any, maps: Any, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(f"train: [{{path: {maps.folder}, rename: {{object: disc}}}}, {coco.folder}]\nval: {coco.folder}\n")
    coco.objects().append({**coco.objects()[0], "id": 99})
    coco.save()
    done = repair(file, tmp_path / "copy")
    assert done.fixed == {"duplicate-object": 1}
    assert done.after.problems == []
    assert done.after.objects == {"train": 44, "val": 12}


def test_the_folder_must_be_new_and_elsewhere(coco: Any, tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match="new or empty"):
        repair(coco.folder, coco.folder)
    with pytest.raises(MaskRCNNError, match="in the data themselves"):
        repair(coco.folder, coco.folder / "copy")
    with pytest.raises(MaskRCNNError):
        repair(tmp_path / "nowhere", tmp_path / "copy")


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_orientation_is_forgotten_to_the_bit(tmp_path: Path, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a text", 8
    path = tmp_path / f"a.{kind}"
    Image.fromarray(pixels).save(path, exif=exif)
    stored = np.asarray(Image.open(path))
    assert read_header(path).orientation == 8
    reset_orientation(path)
    assert read_header(path).orientation == 1
    assert (read_image(path).pixels == stored).all()
    assert Image.open(path).getexif()[0x010E] == "a text"


def test_ids_of_their_own() -> None:
    entries: list[dict[str, Any]] = [{"id": 3}, {"id": 3}, {}, {"id": "x"}, {"id": 1}]
    assert make_ids_unique(entries) == 3
    assert [entry["id"] for entry in entries] == [3, 4, 5, 6, 1]


points = st.lists(st.tuples(st.floats(-60, 120), st.floats(-60, 100)), min_size=3, max_size=9)


@settings(max_examples=60, deadline=None)
@given(points)
def test_a_clipped_polygon_fills_the_same_pixels(outline: list[tuple[float, float]]) -> None:
    polygon, size = np.array(outline).ravel(), (50, 70)
    clipped = clip_polygon(polygon, size)
    x, y = clipped[::2], clipped[1::2]
    assert ((x >= -1e-9) & (x <= 70 + 1e-9) & (y >= -1e-9) & (y <= 50 + 1e-9)).all()
    masks = np.zeros((2, *size), dtype=bool)
    for mask, shape in zip(masks, (polygon, clipped), strict=True):
        if shape.size >= 6:
            bitmap, left, top = rasterise([shape], size)
            mask[top : top + bitmap.shape[0], left : left + bitmap.shape[1]] = bitmap
    # Drawing is exact to a pixel along the outline.
    steps = np.abs(np.diff(np.append(polygon, polygon[:2]).reshape(-1, 2), axis=0)).sum()
    assert np.count_nonzero(masks[0] != masks[1]) <= 1.5 * steps + 8


def test_all_that_is_called_fixable_is_mended_somewhere() -> None:
    text = "".join(Path(inspect.getfile(module)).read_text() for module in (coco_fixes, doctor.repair))
    fixable = {check.id for check in CHECKS.values() if check.fixable}
    # The entry of an image that is not there stays behind when the others are copied.
    assert {check for check in fixable if f'"{check}"' not in text} == {"missing-image"}
