"""Annotations on the way to a sample, against the masks that evaluation draws of the same ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.objects import draw_all
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.masks import Crop, crop_of, encode
from maskrcnn.training.samples.instances import make_instances

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SIZE = (60, 80)
SQUARE = np.array([10, 20, 40, 20, 40, 50, 10, 50], dtype=np.float64)


def annotation(segmentation: object, number: int = 1, box: object = None, crowd: bool = False) -> Annotation:
    return Annotation(number, number, crowd, box, None, segmentation)  # type: ignore[arg-type]


def test_every_kind_of_mask() -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[5:15, 30:70] = True
    crop = crop_of(mask)
    loose = Crop(np.pad(crop.bitmap, 2), crop.x - 2, crop.y - 2)
    annotations = [
        annotation(encode(crop, SIZE), 1),
        annotation([SQUARE], 2),
        annotation(None, 3, box=(1.0, 2.0, 3.5, 4.0)),
        annotation(loose, 4),
        annotation([SQUARE, SQUARE * 0.1], 5),
    ]
    shapes, problems = make_instances(annotations, SIZE, "labels.json")
    assert problems == []
    # Polygons first.
    assert shapes.labels.tolist() == [2, 5, 1, 3, 4]
    assert shapes.boxes.tolist() == [
        [10, 20, 40, 50],
        [1, 2, 40, 50],
        [30, 5, 70, 15],
        [1, 2, 3.5, 4],
        [30, 5, 70, 15],
    ]
    assert shapes.areas.tolist() == [900, 909, 400, 5, 400]
    assert shapes.polygons.owner.tolist() == [0, 1, 1]
    assert list(shapes.crops) == [2, 4]
    assert shapes.crowd.shape == (0, 4)


def test_crowds_are_regions_and_need_no_drawing() -> None:
    unreadable = {"size": [60, 80], "counts": "never looked at"}
    annotations = [annotation(unreadable, 1, box=(0.0, 0.0, 9.0, 9.0), crowd=True), annotation([SQUARE], 2, crowd=True)]
    shapes, problems = make_instances(annotations, SIZE, "labels.json")
    assert problems == []
    assert shapes.crowd.tolist() == [[0, 0, 9, 9], [10, 20, 40, 50]]
    assert len(shapes.labels) == len(shapes.boxes) == 0


@pytest.mark.parametrize(
    ("segmentation", "check"),
    [
        ([np.array([1.0, 1, 5, 5, 3, 3])], "empty-mask"),  # a line
        ([SQUARE + 100], "empty-mask"),  # outside
        ([np.array([1.0, 1, 5, np.nan, 3, 9])], "bad-segmentation"),
        ([np.array([1.0, 1, 5, 5, 3])], "bad-segmentation"),
        ([np.zeros((2, 2))], "bad-segmentation"),
        ([], "empty-mask"),
        ({"size": [60, 80], "counts": [1]}, "bad-segmentation"),
        (None, "no-shape"),
    ],
)
def test_what_cannot_be_used_is_told_and_the_rest_kept(segmentation: object, check: str) -> None:
    good = annotation([SQUARE], 2)
    shapes, problems = make_instances([annotation(segmentation, 1), good], SIZE, "labels.json")
    assert shapes.labels.tolist() == [2]
    assert [(problem.check, problem.objects_lost) for problem in problems] == [(check, 1)]
    assert problems[0].where == "labels.json, annotation 1"


def test_a_polygon_beyond_the_image_is_cut_there() -> None:
    """Only what is inside counts: half of it here."""
    shapes, problems = make_instances([annotation([SQUARE + [0, 25] * 4])], SIZE, "labels.json")
    assert problems == []
    assert shapes.boxes.tolist() == [[10, 45, 40, 60]]
    assert shapes.areas.tolist() == [30 * 15]


@pytest.mark.skipif(not (SHARED / "coco_mini").is_dir(), reason="needs the shared data set coco_mini")
def test_real_annotations_agree_with_what_evaluation_draws() -> None:
    dataset = open_dataset(SHARED / "coco_mini", "val")
    for index in range(20):
        record, annotations = dataset.records[index], dataset.annotations(index)
        shapes, problems = make_instances(annotations, record.size, record.path)
        objects, told = draw_all(annotations, record.size, record.path)
        single = ~objects.crowd
        assert sum(p.objects_lost for p in problems) == sum(p.objects_lost for p in told)
        assert sorted(shapes.labels.tolist()) == sorted(objects.labels[single].tolist())
        assert len(shapes.crowd) == (~single).sum()
        tight = np.array([objects.crops[k].box for k in np.flatnonzero(single)]).reshape(-1, 4)  # type: ignore[union-attr]
        # Each box has its counterpart, but for thin tips, of which no pixel is drawn.
        distances = np.abs(shapes.boxes[:, None] - tight[None]).max(axis=2)
        assert distances.min(axis=1).max(initial=0) <= 3
