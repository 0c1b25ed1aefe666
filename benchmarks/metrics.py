"""COCO metrics side by side: what each library takes, and whether it equals pycocotools.

    python benchmarks/metrics.py ../shared/data [--repeats 5]

Detections are simulated from the labels of three splits. Every contender starts from the same masks in their boxes and
ends with box and mask precision and recall; making run lengths and records is part of its time. The contenders take
turns and the median counts. Libraries that are not installed are left out: pip install pycocotools
faster-coco-eval vernier.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as pycoco_mask
from simulate import Simulation

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.evaluated_image import EvaluatedImage

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]
SPLITS = (("coco_mini", "val", 100, 3.0), ("mushroom", "val", 400, 1.5), ("mushroom", "train", 400, 1.5))


class Work:
    """The samples of one split, and their COCO records by the ways of making run lengths."""

    def __init__(self, samples: Sequence[EvaluatedImage], names: Sequence[str], limit: int) -> None:
        self.samples, self.names, self.limit = samples, tuple(names), limit

    @property
    def limits(self) -> list[int]:
        return sorted({1, 10, self.limit})

    def records(self, dense: bool = False) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
        """Truth as a COCO file has it, and results by kind; `dense` makes run lengths from H x W masks."""
        content: dict[str, Any] = {"info": {}, "images": [], "annotations": []}
        content["categories"] = [{"id": i, "name": name} for i, name in enumerate(self.names)]
        results: dict[str, list[dict[str, Any]]] = {"bbox": [], "segm": []}
        for old in self.samples:
            # A new sample: run lengths are made once a sample and then kept.
            s = EvaluatedImage(old.image_id, old.size, old.truth, old.boxes, old.scores, old.labels, old.masks)
            content["images"].append({"id": s.image_id, "height": s.size[0], "width": s.size[1]})
            truth_rle = encode_dense(s.truth.crops, s.size) if dense else s.truth_rle
            columns = s.truth.labels, s.truth_xywh, s.truth.crowd.astype(int), s.truth_areas
            for label, box, crowd, area, rle in zip(*(c.tolist() for c in columns), truth_rle, strict=True):
                entry = {"id": len(content["annotations"]) + 1, "image_id": s.image_id, "category_id": label}
                content["annotations"].append(
                    {**entry, "bbox": box, "iscrowd": crowd, "area": area, "segmentation": rle}
                )
            rles = encode_dense(list(s.masks or ()), s.size) if dense else s.rle
            for label, score, box, rle in zip(s.labels.tolist(), s.scores.tolist(), s.xywh.tolist(), rles, strict=True):
                entry = {"image_id": s.image_id, "category_id": label, "score": score}
                results["bbox"].append({**entry, "bbox": box})
                results["segm"].append({**entry, "segmentation": rle})
        return content, results


def encode_dense(crops: Sequence[Any], size: tuple[int, int]) -> list[dict[str, Any]]:
    """Run lengths as pycocotools makes them: of each mask in a whole image."""
    rles = []
    for crop in crops:
        mask = np.zeros(size, dtype=np.uint8, order="F")
        h, w = crop.bitmap.shape
        mask[crop.y : crop.y + h, crop.x : crop.x + w] = crop.bitmap
        rles.append(pycoco_mask.encode(mask))
    return rles


def this_package(work: Work) -> Arrays:
    metrics = CocoMetrics(work.names, work.limit)
    for old in work.samples:
        metrics.update(EvaluatedImage(old.image_id, old.size, old.truth, old.boxes, old.scores, old.labels, old.masks))
    return {"bbox": metrics.arrays("box"), "segm": metrics.arrays("mask")}


def pycocotools(work: Work, dense: bool = False) -> Arrays:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    content, results = work.records(dense)
    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    return {kind: evaluated(COCOeval, truth, truth.loadRes(found), kind, work) for kind, found in results.items()}


def pycocotools_dense(work: Work) -> Arrays:
    return pycocotools(work, dense=True)


def faster_coco_eval(work: Work) -> Arrays:
    from faster_coco_eval import COCO, COCOeval_faster

    content, results = work.records()
    truth = COCO(content)
    return {
        kind: evaluated(COCOeval_faster, truth, truth.loadRes(found), kind, work) for kind, found in results.items()
    }


def hotcoco(work: Work) -> Arrays:
    from hotcoco import COCO, COCOeval

    content, results = work.records()
    truth = COCO(content)
    return {kind: evaluated(COCOeval, truth, truth.loadRes(found), kind, work) for kind, found in results.items()}


def evaluated(library: Callable[..., Any], truth: Any, found: Any, kind: str, work: Work) -> Any:
    run = library(truth, found, kind)
    run.params.maxDets = work.limits
    run.evaluate()
    run.accumulate()
    return np.asarray(run.eval["precision"]), np.asarray(run.eval["recall"])


def vernier(work: Work) -> Arrays:
    from vernier._core import evaluate_bbox_grid, evaluate_segm_grid
    from vernier.instance import CocoDataset

    content, results = work.records()
    # Strings for JSON's sake; vernier asks for a box beside each mask.
    for entry in content["annotations"]:
        entry["segmentation"] = text_rle(entry["segmentation"])
    for box, mask in zip(results["bbox"], results["segm"], strict=True):
        mask["bbox"] = box["bbox"]
    truth = CocoDataset.from_json(json.dumps(content).encode())
    arrays = {}
    for kind, grid_of in (("bbox", evaluate_bbox_grid), ("segm", evaluate_segm_grid)):
        options = {"parity_mode": "strict", "max_dets_per_image": work.limit, "use_cats": True}
        table = grid_of(truth, results[kind], **options).accumulate(work.limits)
        arrays[kind] = (np.asarray(table.precision), np.asarray(table.recall))
    return arrays


def text_rle(rle: dict[str, Any]) -> dict[str, Any]:
    counts = rle["counts"]
    return {**rle, "counts": counts.decode() if isinstance(counts, bytes) else counts}


CONTENDERS: tuple[tuple[str, Callable[[Work], Arrays]], ...] = (
    ("pycocotools", pycocotools),
    ("pycocotools, its own encoding", pycocotools_dense),
    ("faster-coco-eval", faster_coco_eval),
    ("hotcoco", hotcoco),
    ("vernier", vernier),
    ("maskrcnn (hotcoco, streamed)", this_package),
)


def race(work: Work, repeats: int) -> None:
    """Print the table of one split."""
    times: dict[str, list[float]] = {}
    difference: dict[str, float] = {}
    expected: Arrays = {}
    for _ in range(repeats):
        for name, run in CONTENDERS:
            try:
                start = time.perf_counter()
                with contextlib.redirect_stdout(io.StringIO()):
                    arrays = run(work)
                times.setdefault(name, []).append(time.perf_counter() - start)
            except ImportError:
                continue
            expected = expected or arrays
            pairs = [(a, b) for kind in arrays for a, b in zip(arrays[kind], expected[kind], strict=True)]
            difference[name] = max(float(np.abs(a - b).max()) for a, b in pairs)
    slowest = statistics.median(times["pycocotools"])
    print("| library | median | of pycocotools' time | largest difference | equal to 1e-6 |")
    print("|---|---|---|---|---|")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        equal = "yes" if difference[name] <= 1e-6 else "no"
        print(f"| {name} | {median * 1e3:.0f} ms | {median / slowest:.1%} | {difference[name]:.1e} | {equal} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with coco_mini and mushroom")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for name, split, limit, rate in SPLITS:
        dataset, rng = open_dataset(options.data / name, split), np.random.default_rng(0)
        simulation, classes = Simulation(rate=rate), len(dataset.names)
        samples = [
            simulation.sample(rng, record.id, (record.height, record.width), dataset.objects(i), classes)
            for i, record in enumerate(dataset.records)
        ]
        objects, found = (
            sum(map(len, part)) for part in zip(*((s.truth.boxes, s.boxes) for s in samples), strict=True)
        )
        print(f"\n{name} {split}: {len(samples)} images, {objects} objects, {found} detections, maxDets {limit}\n")
        race(Work(samples, dataset.names, limit), options.repeats)


if __name__ == "__main__":
    main()
