"""The split of errors: each kind drawn once, and the whole against hotcoco's TIDE."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hotcoco import COCO, COCOeval

from maskrcnn.annotations.objects import Objects
from maskrcnn.evaluation.error_types import KINDS, SIZES, classify_errors
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.matching import class_precisions, match_detections
from maskrcnn.evaluation.tables import TableBuilder, Tables
from maskrcnn.masks import Crop, Masks

Simulate = Callable[..., list[EvaluatedImage]]
THEIRS = {"class": "Cls", "location": "Loc", "both": "Both", "duplicate": "Dupe", "background": "Bkg", "missed": "Miss"}
SIZE = (200, 400)


def gathered(samples: list[EvaluatedImage], names: tuple[str, ...] = ("a", "b", "c")) -> Tables:
    builder = TableBuilder(names)
    for sample in samples:
        builder.update(sample)
    return builder.tables()


def tide(samples: list[EvaluatedImage]) -> dict:
    """What hotcoco's TIDE says of the same images."""
    content: dict = {"images": [], "annotations": [], "categories": [{"id": k, "name": n} for k, n in enumerate("abc")]}
    results = []
    for sample in samples:
        height, width = sample.size
        content["images"].append({"id": sample.image_id, "height": height, "width": width})
        for label, box, rle in zip(sample.truth.labels, sample.truth_xywh, sample.truth_rle, strict=True):
            entry = {"id": len(content["annotations"]) + 1, "image_id": sample.image_id, "category_id": int(label)}
            area = float(box[2] * box[3])
            content["annotations"].append(
                entry | {"bbox": box.tolist(), "area": area, "iscrowd": 0, "segmentation": rle}
            )
        for label, score, rle in zip(sample.labels, sample.scores, sample.rle, strict=True):
            entry = {"image_id": sample.image_id, "category_id": int(label)}
            results.append(entry | {"score": float(score), "segmentation": rle})
    truth = COCO(content)
    run = COCOeval(truth, truth.load_res(results), "segm")
    run.evaluate()
    return run.tide_errors(0.5, 0.1)


@pytest.mark.parametrize("seed", range(4))
def test_equals_tide(simulate: Simulate, seed: int) -> None:
    samples = simulate(seed, crowds=0, digits=6)
    tables = gathered(samples)
    errors, expected = classify_errors(tables, match_detections(tables, "mask")), tide(samples)
    assert errors.ap50 == pytest.approx(expected["ap_base"] * 100)
    counts = np.bincount(errors.kind[errors.kind >= 0], minlength=len(KINDS))
    counts[KINDS.index("missed")] = errors.missed.sum()
    assert dict(zip(KINDS, counts.tolist(), strict=True)) == {
        k: expected["counts"].get(v, 0) for k, v in THEIRS.items()
    }
    for kind, theirs in THEIRS.items():
        assert errors.cost[kind] == pytest.approx(expected["delta_ap"][theirs] * 100, abs=1e-6), kind


def square(x: int, y: int = 10, side: int = 40) -> Crop:
    return Crop(np.ones((side, side), dtype=bool), x, y)


def test_each_kind_is_told(label: Callable[..., Objects]) -> None:
    truth = label([square(0), square(60), square(120), square(180), square(240, side=8)], [0, 0, 0, 0, 1])
    cases = [
        (square(0), 0, 0.9, ""),
        (square(2), 0, 0.8, "duplicate"),
        (square(60), 1, 0.7, "class"),
        (square(140), 0, 0.6, "location"),
        (square(200), 1, 0.5, "both"),
        (square(320), 0, 0.4, "background"),
    ]
    crops = [case[0] for case in cases]
    boxes = np.array([crop.box for crop in crops], dtype=np.float32)
    labels, scores = np.array([case[1] for case in cases]), np.array([case[2] for case in cases])
    tables = gathered([EvaluatedImage(1, SIZE, truth, boxes, scores, labels, Masks(crops, SIZE))])
    errors = classify_errors(tables, match_detections(tables, "mask"))
    assert [KINDS[kind] if kind >= 0 else "" for kind in errors.kind] == [case[3] for case in cases]
    assert errors.meant.tolist() == [-1, -1, 1, 2, -1, -1]
    # The fourth is overlapped poorly under a wrong name, which does not count as meant; the fifth by nothing.
    assert errors.missed.tolist() == [False, False, False, True, True]
    assert [SIZES[size] for size in errors.size] == ["medium"] * 4 + ["small"]


def test_mending_everything_missed_of_a_class_makes_it_whole(label: Callable[..., Objects]) -> None:
    truth = label([square(0), square(60)], [0, 1])
    sample = EvaluatedImage(1, SIZE, truth, truth.boxes[:1], np.ones(1), np.zeros(1, int), Masks([square(0)], SIZE))
    tables = gathered([sample], ("a", "b"))
    errors = classify_errors(tables, match_detections(tables, "mask"))
    assert errors.ap50 == pytest.approx(50)
    assert errors.cost["missed"] == errors.missed_cost["medium"] == pytest.approx(50)
    assert errors.missed_cost["small"] == 0


def test_costs_by_size_and_regions(simulate: Simulate) -> None:
    tables = gathered(simulate(5, crowds=0.3))
    matches = match_detections(tables, "mask")
    errors = classify_errors(tables, matches)
    assert errors.ap50 == pytest.approx(np.nanmean(class_precisions(tables, matches)))
    assert not (errors.missed & matches.region).any()
    assert all(cost >= -1e-9 for cost in (*errors.cost.values(), *errors.missed_cost.values()))
    assert max(errors.missed_cost.values()) <= errors.cost["missed"] + 1e-9
    assert (errors.kind[matches.correct | matches.ignored] == -1).all()
