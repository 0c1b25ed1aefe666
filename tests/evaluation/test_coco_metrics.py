"""Box and mask metrics equal pycocotools, whatever the detections, limits, crowds and sizes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as truth_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn.annotations.objects import Objects
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.masks import Crop, Masks

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NAMES = ("cat", "dog", "bird", "never seen")
AREAS = {"_small": 1, "_medium": 2, "_large": 3}
Simulate = Callable[..., list[EvaluatedImage]]


def ours(samples: list[EvaluatedImage], names: tuple[str, ...], max_detections: int) -> CocoMetrics:
    metrics = CocoMetrics(names, max_detections)
    for sample in samples:
        metrics.update(sample)
    return metrics


def xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = box.astype(float).tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def dense(crop: Crop | None, box: np.ndarray, size: tuple[int, int]) -> dict:
    """Run lengths of the whole-image mask; of the box's pixels where there is no mask."""
    mask = np.zeros(size, dtype=np.uint8, order="F")
    if crop is None:
        x1, y1, x2, y2 = np.rint(box).astype(int)
        mask[y1:y2, x1:x2] = 1
    else:
        h, w = crop.bitmap.shape
        mask[crop.y : crop.y + h, crop.x : crop.x + w] = crop.bitmap
    return truth_mask.encode(mask)


def expected(samples: list[EvaluatedImage], names: tuple[str, ...], max_detections: int) -> tuple[dict, dict]:
    """All metrics and the mask AP of each class by pycocotools, its input written from dense masks."""
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    images = [{"id": s.image_id, "height": s.size[0], "width": s.size[1]} for s in samples]
    values: dict[str, float] = {}
    per_class: dict[str, float] = {}
    limits = sorted({min(limit, max_detections) for limit in (1, 10, max_detections)})
    for kind in ("box", "mask"):
        truth, found = [], []
        for s in samples:
            areas = [crop.area for crop in s.truth.crops] if s.truth.areas is None else s.truth.areas
            objects = zip(s.truth.boxes, s.truth.labels, s.truth.crowd, s.truth.crops, areas, strict=True)
            for box, label, crowd, crop, area in objects:
                entry = {"id": len(truth) + 1, "image_id": s.image_id, "category_id": int(label), "bbox": xywh(box)}
                ignored = int(crowd or (kind == "mask" and crop is None))
                truth.append(entry | {"iscrowd": ignored, "area": area, "segmentation": dense(crop, box, s.size)})
            for box, label, score, crop in zip(s.boxes, s.labels, s.scores, s.masks, strict=True):
                entry = {"image_id": s.image_id, "category_id": int(label), "score": float(score)}
                found.append(
                    entry | ({"bbox": xywh(box)} if kind == "box" else {"segmentation": dense(crop, box, s.size)})
                )
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO()
            coco.dataset = {"info": {}, "images": images, "annotations": truth, "categories": categories}
            coco.createIndex()
            # pycocotools refuses an empty list of results.
            run = COCOeval(coco, coco.loadRes(found) if found else COCO(), "bbox" if kind == "box" else "segm")
            run.params.maxDets = limits
            run.evaluate()
            run.accumulate()
        precision, recall = run.eval["precision"][..., -1], run.eval["recall"]
        table = {"AP": precision[..., 0], "AP50": precision[0, ..., 0], "AP75": precision[5, ..., 0]}
        table |= {"AR": recall[..., 0, -1], "AR1": recall[..., 0, 0]}
        table |= {"AR10": recall[..., 0, limits.index(min(10, max_detections))]}
        table |= {f"AP{name}": precision[..., i] for name, i in AREAS.items()}
        table |= {f"AR{name}": recall[..., i, -1] for name, i in AREAS.items()}
        values |= {f"{kind}_{key}": percent(value) for key, value in table.items()}
        per_class = {name: percent(precision[:, :, i, 0]) for i, name in enumerate(names)}
    return values, per_class


def percent(values: np.ndarray) -> float:
    return 100 * values[values > -1].mean() if (values > -1).any() else math.nan


def check(samples: list[EvaluatedImage], names: tuple[str, ...], max_detections: int) -> dict[str, float]:
    metrics = ours(samples, names, max_detections)
    computed = metrics.compute()
    values, per_class = expected(samples, names, max_detections)
    assert computed.keys() == values.keys()
    assert computed == pytest.approx(values, abs=1e-6, nan_ok=True)
    mask_ap = {name: row["mask_AP"] for name, row in metrics.per_class.items()}
    assert mask_ap == pytest.approx(per_class, abs=1e-6, nan_ok=True)
    return computed


@pytest.mark.parametrize("max_detections", [1, 5, 100, 400])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_pycocotools(simulate: Simulate, seed: int, max_detections: int) -> None:
    computed = check(simulate(seed), NAMES, max_detections)
    assert all(0 < value < 100 for value in computed.values())


def test_more_than_100_detections_count_if_asked_for(label: Callable[..., Objects]) -> None:
    size = (300, 300)
    cells = [Crop(np.ones((8, 8), dtype=bool), 20 * column, 20 * row) for row in range(15) for column in range(15)]
    truth = label(cells, np.zeros(len(cells)))
    scores = np.linspace(1, 0.1, len(cells), dtype=np.float32)
    sample = EvaluatedImage(1, size, truth, truth.boxes, scores, truth.labels, Masks(cells, size))
    assert check([sample], ("cell",), 400)["mask_AP"] == pytest.approx(100)
    # 100 of 225 found, none wrong: precision 1 at the recalls 0, 0.01, …, 0.44.
    at_100 = check([sample], ("cell",), 100)
    assert at_100["mask_AP"] == pytest.approx(100 * 45 / 101)
    assert at_100["mask_AR"] == pytest.approx(100 * 100 / 225)
    assert at_100["mask_AR10"] == pytest.approx(100 * 10 / 225)
    assert check([sample], ("cell",), 1)["box_AP"] == pytest.approx(100 * 1 / 101)


def in_a_region(label: Callable[..., Objects]) -> EvaluatedImage:
    """An object found, and three detections inside another, larger one."""
    region, single = Crop(np.ones((60, 60), dtype=bool), 0, 0), Crop(np.ones((20, 20), dtype=bool), 100, 100)
    found = [*(Crop(np.ones((10, 10), dtype=bool), x, 5) for x in (0, 20, 40)), single]
    boxes = np.array([crop.box for crop in found], dtype=np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)
    truth = label([region, single], [0, 0])
    return EvaluatedImage(1, (200, 200), truth, boxes, scores, np.zeros(4, dtype=int), Masks(found, (200, 200)))


def test_crowd_truth_is_ignored(simulate: Simulate, label: Callable[..., Objects]) -> None:
    check(simulate(2, crowds=0.5), NAMES, 100)
    sample = in_a_region(label)
    assert check([sample], ("a",), 100)["mask_AP"] < 50
    crowd = dataclasses.replace(sample.truth, crowd=np.array([True, False]))
    computed = check([dataclasses.replace(sample, truth=crowd)], ("a",), 100)
    assert computed["mask_AP"] == computed["box_AP"] == pytest.approx(100)


def test_an_object_without_a_mask_counts_for_boxes_only(simulate: Simulate, label: Callable[..., Objects]) -> None:
    samples = simulate(4)
    for sample in samples:
        crops = [None if i % 3 == 0 else crop for i, crop in enumerate(sample.truth.crops)]
        areas = np.array([crop.area for crop in sample.truth.crops], dtype=np.float64)
        sample.truth = dataclasses.replace(sample.truth, crops=crops, areas=areas)
    check(samples, NAMES, 100)
    sample = in_a_region(label)
    truth = dataclasses.replace(sample.truth, crops=[None, sample.truth.crops[1]])
    computed = ours([dataclasses.replace(sample, truth=truth)], ("a",), 100).compute()
    assert computed["mask_AP"] == pytest.approx(100)
    assert computed["box_AP"] == ours([sample], ("a",), 100).compute()["box_AP"] < 50


def test_sizes_without_truth_are_nan(simulate: Simulate) -> None:
    samples = simulate(3, crowds=0, largest=25)
    computed = check(samples, NAMES, 100)
    assert math.isnan(computed["mask_AP_large"])
    assert not math.isnan(computed["mask_AP_small"])
    metrics = ours(samples, NAMES, 100)
    metrics.compute()
    assert all(map(math.isnan, metrics.per_class["never seen"].values()))


def test_no_detections_at_all_is_zero_and_no_images_nan(simulate: Simulate) -> None:
    nothing = {"boxes": np.zeros((0, 4), np.float32), "scores": np.zeros(0, np.float32), "labels": np.zeros(0, int)}
    samples = [dataclasses.replace(s, masks=Masks([], s.size), **nothing) for s in simulate(0)]
    assert set(check(samples, NAMES, 100).values()) == {0.0}
    assert all(math.isnan(value) for value in CocoMetrics(NAMES, 100).compute().values())
    assert all(math.isnan(value) for value in check([samples[1], samples[4]], NAMES, 100).values())


def test_no_masks_leave_the_boxes(simulate: Simulate) -> None:
    samples = simulate(0)
    metrics = ours([dataclasses.replace(sample, masks=None) for sample in samples], NAMES, 100)
    computed = metrics.compute()
    assert computed["box_AP"] == pytest.approx(ours(samples, NAMES, 100).compute()["box_AP"])
    assert math.isnan(computed["mask_AP"])
    assert all(math.isnan(row["mask_AP"]) for row in metrics.per_class.values())


def test_computing_twice_and_going_on_gives_the_same(simulate: Simulate) -> None:
    samples = simulate(0)
    metrics = ours(samples[:6], NAMES, 100)
    assert metrics.compute() == pytest.approx(metrics.compute(), nan_ok=True)
    for sample in samples[6:]:
        metrics.update(sample)
    assert metrics.compute() == pytest.approx(ours(samples, NAMES, 100).compute(), nan_ok=True)


def test_wrong_input_is_told(simulate: Simulate) -> None:
    samples = simulate(0)
    metrics = ours(samples, NAMES, 100)
    with pytest.raises(MaskRCNNError, match="image 0: this image was added before"):
        metrics.update(samples[0])
    with pytest.raises(MaskRCNNError, match=r"image 7: expected as many boxes as scores"):
        dataclasses.replace(samples[0], image_id=7, scores=samples[0].scores[:-1])


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real data beside the repository")
@pytest.mark.parametrize(("name", "step", "limit"), [("nuclei", 8, 100), ("coco_mini", 1, 100), ("mushroom", 2, 400)])
def test_real_truth_equals_pycocotools(simulation: type, name: str, step: int, limit: int) -> None:
    rng = np.random.default_rng(0)
    dataset = open_dataset(SHARED / name, "val")
    records = list(enumerate(dataset.records))[::step]
    samples = [
        simulation(rate=1.5).sample(
            rng, record.id, (record.height, record.width), dataset.objects(i), len(dataset.names)
        )
        for i, record in records
    ]
    check(samples, dataset.names, limit)
