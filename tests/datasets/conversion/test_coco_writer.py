import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.objects import draw_each
from maskrcnn.datasets.conversion.coco_writer import CocoWriter
from maskrcnn.datasets.conversion.dataset_writer import LabelledImage
from maskrcnn.datasets.conversion.omissions import Omissions
from maskrcnn.masks import Crop, Masks, encode

W, H = 30, 20
POLYGONS = [np.array([2.1, 3.25, 8, 3, 8, 9]), np.array([12.0, 3, 14, 3, 14, 5, 12, 5])]


def ring() -> Crop:
    bitmap = np.ones((6, 6), dtype=bool)
    bitmap[2:4, 2:4] = False
    return Crop(bitmap, 20, 10)


ANNOTATIONS = [
    Annotation(30, 1, False, (2.1, 3.0, 14.05, 9.0), 33.5, POLYGONS),
    Annotation(10, 0, False, None, None, ring()),
    Annotation(30, 0, False, None, None, Crop(np.ones((2, 3), dtype=bool), 0, 0)),
    Annotation(5, 0, True, None, None, Crop(np.ones((4, 4), dtype=bool), 5, 12)),
    Annotation(31, 0, False, None, None, dict(encode(Crop(np.ones((4, 4), dtype=bool), 5, 12), (H, W)))),
    Annotation(32, 1, False, (1.0, 2.0, 4.0, 6.0), None, None),
]


def written(folder: Path) -> dict[str, Any]:
    writer = CocoWriter(folder, ["cat", 'größer "dog"'], ["train", "val"], Omissions("COCO"))
    objects = draw_each(ANNOTATIONS, (H, W), "")[0]
    for number in (4, 4):
        writer.add(
            LabelledImage("train", folder / "train" / f"ü {number}.jpg", ImageRecord(number, Path("x"), H, W), objects)
        )
    writer.close()
    return json.loads((folder / "train.json").read_text(encoding="utf-8"))


def test_forms_of_segmentation(tmp_path: Path) -> None:
    entries = written(tmp_path)["annotations"][:6]
    assert entries[0]["segmentation"] == [polygon.tolist() for polygon in POLYGONS]
    assert (entries[0]["bbox"], entries[0]["area"], entries[0]["iscrowd"]) == ([2.1, 3, 11.95, 6], 33.5, 0)
    assert entries[1]["segmentation"]["size"] == [H, W]
    assert entries[1]["area"] == 32
    assert entries[2]["segmentation"] == [[0, 0, 3, 0, 3, 2, 0, 2]]
    assert (entries[3]["iscrowd"], entries[3]["bbox"]) == (1, [5, 12, 4, 4])
    assert isinstance(entries[3]["segmentation"], dict)
    assert entries[4]["segmentation"] == ANNOTATIONS[4].segmentation
    assert "segmentation" not in entries[5]
    assert (entries[5]["bbox"], entries[5]["area"]) == ([1, 2, 3, 4], 12)


def test_ids_are_unique_and_kept_where_they_can_be(tmp_path: Path) -> None:
    content = written(tmp_path)
    assert [image["id"] for image in content["images"]] == [4, 5]
    ids = [entry["id"] for entry in content["annotations"]]
    assert ids[:6] == [30, 10, 31, 5, 32, 33]
    assert len(set(ids)) == 12
    assert [entry["image_id"] for entry in content["annotations"]] == [4] * 6 + [5] * 6
    assert [category["name"] for category in content["categories"]] == ["cat", 'größer "dog"']


def test_pycocotools_reads_the_same_masks(tmp_path: Path) -> None:
    written(tmp_path)
    Image.new("RGB", (W, H)).save(tmp_path / "x.png")
    read = COCO(str(tmp_path / "train.json"))
    drawn = draw_each(ANNOTATIONS, (H, W), "")[0]
    entries = read.loadAnns(read.getAnnIds(4))
    for entry, (_, crop, _) in zip(entries, drawn, strict=True):
        if crop is not None:
            assert (read.annToMask(entry) == Masks([crop], (H, W)).dense()[0]).all()


def test_a_split_without_images_is_a_whole_file(tmp_path: Path) -> None:
    written(tmp_path)
    content = json.loads((tmp_path / "val.json").read_text(encoding="utf-8"))
    assert (content["annotations"], content["images"], len(content["categories"])) == ([], [], 2)
