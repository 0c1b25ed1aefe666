"""COCO results, read by pycocotools."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.masks.masks import Masks
from maskrcnn.results.result import Result
from tests.results.rectangles import dog_and_cat, rectangles_result


def test_to_coco_is_json_ready_and_pycocotools_reads_its_masks():
    result = rectangles_result([(1, 1, 4, 3), (4, 2, 3, 2)], [0.9, 0.5], [1, 0], path=Path("folder/photo.jpg"))
    first, second = json.loads(json.dumps(result.to_coco(7)))
    assert {key: second[key] for key in ("image_id", "category_id", "category_name", "box", "score", "area")} == {
        "image_id": 7,
        "category_id": 1,
        "category_name": "cat",
        "box": [4, 2, 7, 4],
        "score": 0.5,
        "area": 6,
    }
    assert first["category_id"] == 2
    assert first["file_name"] == "photo.jpg"
    decoded = coco_mask.decode(first["segmentation"])
    assert decoded.shape == (6, 8)
    assert np.argwhere(decoded).min(axis=0).tolist() == [1, 1]
    assert decoded.sum() == first["area"] == 12
    assert "file_name" not in dog_and_cat().to_coco(1)[0]


def test_pycocotools_measures_masks_by_their_own_area_and_boxes_by_theirs(tmp_path):
    # A mask of 900 pixels (small) in a box of 1,600 (medium): with both in one row pycocotools takes the box's.
    crop = np.zeros((40, 40), dtype=bool)
    crop[:30, :30] = True
    box = np.array([[5, 5, 45, 45]], dtype=np.float32)
    masks = Masks([Crop(crop, 5, 5)], (60, 60))
    found = Result(box, np.ones(1, np.float32), np.zeros(1, np.int64), masks, ("cat",), (60, 60))
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 7, "width": 60, "height": 60}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [],
    }
    truth.createIndex()
    for iou_type, area in (("segm", 900), ("bbox", 1600)):
        found.save(tmp_path / "found.json")
        rows = json.loads((tmp_path / "found.json").read_text()) if iou_type == "segm" else found.to_coco(7, "bbox")
        read = truth.loadRes([{**row, "image_id": 7} for row in rows]).dataset["annotations"]
        assert [row["area"] for row in read] == [area]
    with pytest.raises(MaskRCNNError, match="segm"):
        found.to_coco(1, "both")
