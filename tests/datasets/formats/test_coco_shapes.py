import json
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as truth

from maskrcnn.datasets.formats.coco_shapes import is_set, plain_box, plain_segmentation
from maskrcnn.masks.rle import decode

H, W = 20, 30
SQUARE = [2, 3, 8, 3, 8, 9, 2, 9]
PAIRS = [[2, 3], [8, 3], [8, 9], [2, 9]]
TRIANGLE = [12, 3, 18, 3, 18, 9]
MASK = np.zeros((H, W), dtype=np.uint8, order="F")
MASK[3:9, 2:8] = 1
RLE = {"size": [H, W], "counts": truth.encode(MASK)["counts"].decode()}
RUNS = [2 * H + 3] + [6, 14] * 5 + [6, H * W - 2 * H - 3 - 5 * 20 - 6]


@pytest.mark.parametrize(
    "form",
    [
        [SQUARE],
        SQUARE,
        [str(value) for value in SQUARE],
        PAIRS,
        [PAIRS],
        [[PAIRS]],
        [[SQUARE]],
        [{"x": x, "y": y} for x, y in PAIRS],
        [[{"x": x, "y": y} for x, y in PAIRS]],
        json.dumps([SQUARE]),
        [np.array(SQUARE, dtype=float)],
        [np.array(pair, dtype=float) for pair in PAIRS],
        [SQUARE, []],
    ],
)
def test_one_polygon_in_every_nesting(form: Any) -> None:
    assert [polygon.tolist() for polygon in plain_segmentation(form)] == [SQUARE]


@pytest.mark.parametrize("form", [[SQUARE, TRIANGLE], [PAIRS, np.reshape(TRIANGLE, (-1, 2)).tolist()]])
def test_two_polygons_of_different_lengths(form: Any) -> None:
    assert [polygon.tolist() for polygon in plain_segmentation(form)] == [SQUARE, TRIANGLE]


def test_two_polygons_of_the_same_length() -> None:
    other = [value + 10 for value in SQUARE]
    for form in ([SQUARE, other], np.reshape([SQUARE, other], (2, -1, 2)).tolist()):
        assert [polygon.tolist() for polygon in plain_segmentation(form)] == [SQUARE, other]


@pytest.mark.parametrize(
    "form",
    [
        RLE,
        [RLE],
        RLE | {"size": [str(H), str(W)]},
        RLE | {"size": [float(H), float(W)]},
        RLE | {"counts": RUNS},
        RLE | {"counts": [str(run) for run in RUNS]},
        RLE | {"counts": [float(run) for run in RUNS]},
        RLE | {"counts": " ".join(map(str, RUNS))},
        RLE | {"counts": json.dumps(RUNS)},
        RLE | {"counts": str(RLE["counts"].encode())},
        RLE | {"counts": list(RLE["counts"].encode())},
        json.dumps(RLE),
    ],
)
def test_run_lengths_in_every_type(form: Any) -> None:
    plain = plain_segmentation(form)
    assert plain["size"] == [H, W]
    crop = decode(plain)
    assert (crop.x, crop.y, crop.bitmap.shape, crop.area) == (2, 3, (6, 6), 36)


def test_several_run_lengths_are_one_mask() -> None:
    other = np.zeros((H, W), dtype=np.uint8, order="F")
    other[5:12, 6:20] = 1
    parts = [RLE, {"size": [H, W], "counts": truth.encode(other)["counts"].decode()}]
    crop = decode(plain_segmentation(parts))
    full = np.zeros((H, W), dtype=bool)
    full[crop.y : crop.y + crop.bitmap.shape[0], crop.x : crop.x + crop.bitmap.shape[1]] = crop.bitmap
    assert (full == (MASK | other)).all()


@pytest.mark.parametrize("form", [None, [], [[]], {}, "", [[], []]])
def test_nothing_is_none(form: Any) -> None:
    assert plain_segmentation(form) is None


@pytest.mark.parametrize(
    "form", [5, "text", [["a", "b"]], [{"x": 1}], [RLE, SQUARE], [RLE, RLE | {"size": [9, 9]}], [[[[[[[[1]]]]]]]]]
)
def test_what_is_no_shape_is_handed_on(form: Any) -> None:
    assert plain_segmentation(form) == form


@pytest.mark.parametrize(
    "form",
    [
        [2, 3, 6, 6],
        [[2, 3, 6, 6]],
        "[2, 3, 6, 6]",
        {"x": 2, "y": 3, "width": 6, "height": 6},
        {"x": 2, "y": 3, "w": 6, "h": 6},
        {"left": 2, "top": 3, "width": 6, "height": 6},
        {"x1": 2, "y1": 3, "x2": 8, "y2": 9},
        {"xmin": "2", "ymin": 3, "xmax": 8, "ymax": 9},
    ],
)
def test_a_box_in_every_form(form: Any) -> None:
    assert plain_box(form) == [2, 3, 6, 6]


def test_no_box() -> None:
    assert [plain_box(form) for form in (None, [], {}, "")] == [None] * 4
    assert plain_box({"x": 1}) == {"x": 1}


def test_flags() -> None:
    assert [is_set(value) for value in (1, 1.0, True, "1", "true", " True ", "yes")] == [True] * 7
    assert [is_set(value) for value in (0, None, "0", "", "false", [], {}, 2, "no")] == [False] * 9
