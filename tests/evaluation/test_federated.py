"""Labels that tell of some classes only: figures equal those of LVIS's protocol as hotcoco has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
import pytest

from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.evaluator import evaluate
from maskrcnn.evaluation.federated import as_labelled
from maskrcnn.inference.predictor import Predictor
from maskrcnn.masks import encode

NAMES = ("cat", "dog", "bird", "cow")
Simulate = Callable[..., list[EvaluatedImage]]


def told(samples: list[EvaluatedImage], seed: int) -> list[ImageRecord]:
    """Which classes are absent, and which not exhaustively labelled: at random, of those that can be."""
    rng, tables = np.random.default_rng(seed), []
    for sample in samples:
        there = set(sample.truth.labels.tolist())
        absent = tuple(n for label, n in enumerate(NAMES) if label not in there and rng.random() < 0.5)
        partial = tuple(NAMES[label] for label in sorted(there) if rng.random() < 0.4)
        tables.append(ImageRecord(sample.image_id, Path("x.png"), *sample.size, absent=absent, partial=partial))
    return tables


def lvis(samples: list[EvaluatedImage], tables: list[ImageRecord], kind: str) -> dict[str, float]:
    """By hotcoco, from dicts as LVIS's file has them."""
    images = [
        {"id": r.id, "height": r.height, "width": r.width,
         "neg_category_ids": [NAMES.index(name) + 1 for name in r.absent or ()],
         "not_exhaustive_category_ids": [NAMES.index(name) + 1 for name in r.partial]}
        for r in tables
    ]  # fmt: skip
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for s in samples:
        for box, label, crop, area in zip(s.truth_xywh, s.truth.labels, s.truth.crops, s.truth_areas, strict=True):
            assert crop is not None
            shape = {"bbox": box.tolist(), "area": float(area), "segmentation": encode(crop, s.size)}
            truth.append({"id": len(truth) + 1, "image_id": s.image_id, "category_id": int(label) + 1, **shape})
        for place, (box, label, score) in enumerate(zip(s.xywh, s.labels, s.scores, strict=True)):
            shape = {"bbox": box.tolist()} if kind == "bbox" else {"segmentation": s.rle[place]}
            found.append({"image_id": s.image_id, "category_id": int(label) + 1, "score": float(score), **shape})
    categories = [{"id": i + 1, "name": name, "frequency": "f"} for i, name in enumerate(NAMES)]
    data = hotcoco.COCO({"images": images, "annotations": truth, "categories": categories})
    run = hotcoco.LVISEval(data, data.load_res(found), kind)
    run.run()
    return {name: 100 * value for name, value in run.get_results().items()}


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_the_protocol(simulate: Simulate, seed: int) -> None:
    samples = simulate(seed, crowds=0, classes=4, images=16)
    samples = [s for s in samples if len(s.truth.labels)]
    tables = told(samples, seed)
    metrics, plain = CocoMetrics(NAMES, 300), CocoMetrics(NAMES, 300)
    for sample, record in zip(samples, tables, strict=True):
        metrics.update(as_labelled(sample, record, NAMES))
        plain.update(sample)
    ours, without = metrics.compute(), plain.compute()
    for kind, theirs in (("box", lvis(samples, tables, "bbox")), ("mask", lvis(samples, tables, "segm"))):
        expected = {"AP": theirs["AP"], "AP50": theirs["AP50"], "AP75": theirs["AP75"], "AP_small": theirs["APs"]}
        expected |= {"AP_medium": theirs["APm"], "AP_large": theirs["APl"], "AR": theirs["AR@300"]}
        assert {name: ours[f"{kind}_{name}"] for name in expected} == pytest.approx(expected, abs=1e-6)
        assert without[f"{kind}_AP"] != pytest.approx(expected["AP"], abs=0.1)


def test_labels_that_tell_of_all_classes_change_nothing(simulate: Simulate) -> None:
    sample = simulate(0)[0]
    assert as_labelled(sample, ImageRecord(0, Path("x.png"), *sample.size), NAMES) is sample


def test_what_lvis_does_not_judge_is_left_out_of_an_evaluation(oracle: Callable[..., Predictor], shapes: Path) -> None:
    """Triangles without a word on them: the labels of one image are gone, and its triangles are no false alarms."""
    (shapes / "train.json").unlink()
    content = json.loads((shapes / "val.json").read_text())
    model = oracle(shapes, ("disc", "triangle"))
    gone = [a["id"] for a in content["annotations"] if a["category_id"] == 2][:1]
    kept = [a for a in content["annotations"] if a["id"] not in gone]
    (image,) = {a["image_id"] for a in content["annotations"] if a["id"] in gone}
    kept = [a for a in kept if (a["image_id"], a["category_id"]) != (image, 2)]
    for entry in content["images"]:
        entry |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    (shapes / "val.json").write_text(json.dumps(content | {"annotations": kept}))
    data = open_dataset(shapes, "val")
    result = evaluate(model, data, analyse=True)
    assert result.metrics["mask_AP"] == result.metrics["box_AP"] == pytest.approx(100)
    assert result.analysis is not None
    assert (result.analysis.errors.kind == -1).all()
    assert result.notes[0].what.startswith("federated labels: as LVIS does")
    assert "not LVIS's (--max-detections 300)" in result.notes[0].what
    assert "not LVIS's" not in evaluate(model, data, max_detections=300).notes[0].what
    for entry in content["images"]:
        entry["neg_category_ids"] = [2] if entry["id"] == image else []
    (shapes / "val.json").write_text(json.dumps(content | {"annotations": kept}))
    absent = evaluate(model, open_dataset(shapes, "val"), analyse=True).analysis
    assert absent is not None
    assert (absent.errors.kind != -1).sum() == len(content["annotations"]) - len(kept)
