"""What a Result answers, against hand-drawn masks and pycocotools."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.masks.masks import Masks
from maskrcnn.results.result import Result
from tests.results.rectangles import dog_and_cat, rectangles_result


def test_semantic_gives_classes_and_the_higher_score_wins():
    o, d, c = -1, 1, 0
    expected = [
        [o, o, o, o, o, o, o, o],
        [o, d, d, d, d, o, o, o],
        [o, d, d, d, d, c, c, o],
        [o, d, d, d, d, c, c, o],
        [o, o, o, o, o, o, o, o],
        [o, o, o, o, o, o, o, o],
    ]
    semantic = dog_and_cat().semantic()
    assert semantic.dtype == np.int32
    assert semantic.tolist() == expected


def test_instances_counts_from_one_in_the_order_of_the_result():
    result = dog_and_cat()
    assert result.instances()[2].tolist() == [0, 1, 1, 1, 1, 2, 2, 0]
    swapped = rectangles_result([(1, 1, 4, 3), (4, 2, 3, 2)], [0.6, 0.9], [1, 0])
    assert swapped.instances()[2].tolist() == [0, 1, 1, 1, 2, 2, 2, 0]
    assert result.instances().dtype == np.int32


def test_of_equal_scores_the_first_object_is_on_top():
    assert rectangles_result([(0, 0, 2, 1), (1, 0, 2, 1)], [0.5, 0.5], [0, 0]).instances()[0, :4].tolist() == [
        1,
        1,
        2,
        0,
    ]


def test_no_objects():
    result = rectangles_result([], [], [])
    assert len(result) == 0
    assert (result.semantic() == -1).all()
    assert (result.instances() == 0).all()
    assert result.to_coco(7) == []
    assert result.measure() == []
    assert repr(result) == "Result(no objects; 6 x 8 pixels)"


def test_indexing_keeps_boxes_scores_labels_and_masks_together():
    result = rectangles_result([(0, 0, 1, 1), (1, 0, 2, 1), (3, 0, 3, 1)], [0.9, 0.6, 0.7], [0, 1, 2])
    for index, expected in (
        (result.scores > 0.65, [1, 3]),
        (slice(1, None), [2, 3]),
        ([2, 0], [3, 1]),
        (np.array([], dtype=int), []),
        (-1, [3]),
        (np.int64(1), [2]),
    ):
        part = result[index]
        assert part.masks.area().tolist() == expected
        assert (part.boxes[:, 2] - part.boxes[:, 0]).tolist() == expected
        assert (part.labels + 1).tolist() == expected
        assert part.names == [("cat", "dog", "owl")[k - 1] for k in expected]
    assert [len(single) for single in result] == [1, 1, 1]
    with pytest.raises(IndexError, match="object 3 of 3"):
        result[3]


def test_repr_counts_the_classes_most_frequent_first():
    result = rectangles_result(
        [(0, 0, 1, 1)] * 3, [0.9, 0.6, 0.75], [0, 1, 1], path=Path("a/b.png"), notes=("frame 1 of 3",)
    )
    assert repr(result) == "Result(3 objects: 2 dog, 1 cat; 6 x 8 pixels; scores 0.60 to 0.90; b.png; frame 1 of 3)"


def test_draw_needs_an_image_of_the_right_size():
    with pytest.raises(MaskRCNNError, match=r"kept no image.*draw\(image\)"):
        dog_and_cat().draw()
    with pytest.raises(MaskRCNNError, match=r"expected an image of \[6, 8\], found an image of \[8, 6\]"):
        dog_and_cat().draw(np.zeros((8, 6, 3), dtype=np.uint8))
    assert dog_and_cat().draw(np.zeros((6, 8, 3), dtype=np.uint8)).size == (8, 6)


def test_save_draws_or_writes_json_by_suffix(tmp_path):
    result = rectangles_result([(1, 1, 4, 3)], [0.9], [0], image=np.full((6, 8, 3), 100, dtype=np.uint8))
    result.save(tmp_path / "new" / "out.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "out.png")), np.asarray(result.draw()))
    result.save(str(tmp_path / "out.JSON"))
    assert json.loads((tmp_path / "out.JSON").read_text()) == result.to_coco(1)
    with pytest.raises(MaskRCNNError, match=r"out\.foo: cannot write.*\.png"):
        result.save(tmp_path / "out.foo")
    (tmp_path / "file").write_text("")
    with pytest.raises(MaskRCNNError, match="cannot write"):
        result.save(tmp_path / "file" / "out.png")


def test_parts_that_do_not_belong_together_are_refused():
    good = dog_and_cat()
    with pytest.raises(MaskRCNNError, match="'scores': 1"):
        Result(good.boxes, good.scores[:1], good.labels, good.masks, good.class_names, good.size)
    with pytest.raises(MaskRCNNError, match=r"labels 0\.\.0, found labels 0\.\.1"):
        Result(good.boxes, good.scores, good.labels, good.masks, ("cat",), good.size)
    with pytest.raises(MaskRCNNError, match=r"expected an image of \[6, 8\], found an image of \[5, 8\]"):
        rectangles_result([], [], [], image=np.zeros((5, 8, 3), dtype=np.uint8))


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
