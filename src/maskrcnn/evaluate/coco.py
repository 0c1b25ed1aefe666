"""COCO's box and mask average precision (AP), in percent, as pycocotools counts it.

AP is the mean precision over 101 recall points, 10 IoU thresholds 0.50:0.05:0.95 and the classes; small, medium and
large split objects by their area at 32² and 96² pixels. Crowd truth neither rewards nor punishes a detection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from maskrcnn.data.objects import Objects
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Crop, Masks, encode

_AREAS = ("", "_small", "_medium", "_large")


class CocoMetrics:
    """Gathers truth and detections image by image; of masks only run lengths are kept.

    Args:
        dataset_names: class names that labels point into.
        max_detections: of each class in each image, so many of the best-scored detections count.

    Attributes:
        per_class: mask AP in percent by class name, NaN without truth; filled by `compute`.
    """

    def __init__(self, dataset_names: Sequence[str], max_detections: int) -> None:
        self.names, self.max_detections = tuple(dataset_names), max_detections
        self.per_class: dict[str, float] = {}
        self._images: dict[int, dict[str, int]] = {}
        self._truth: list[dict[str, Any]] = []
        self._boxes: list[dict[str, Any]] = []
        self._masks: list[dict[str, Any]] | None = []

    def update(
        self,
        image_id: int,
        size: tuple[int, int],
        truth: Objects,
        boxes: np.ndarray,
        scores: np.ndarray,
        labels: np.ndarray,
        masks: Masks | None,
    ) -> None:
        """Add one image.

        Args:
            image_id: the image's own id; each may be added once.
            size: (H, W) of the image, the frame of everything below.
            truth: its labelled objects.
            boxes: float [N, 4], (x1, y1, x2, y2) in image pixels.
            scores: float [N].
            labels: int [N], 0..C-1 into the names.
            masks: N masks, or None: then there are no mask metrics.

        Raises:
            MaskRCNNError: the lengths differ, or the image was added before.
        """
        lengths = [len(boxes), len(scores), len(labels), len(boxes) if masks is None else len(masks)]
        if len(set(lengths)) > 1:
            raise MaskRCNNError(
                f"expected as many boxes as scores, labels and masks, found {lengths}",
                where=f"image {image_id}",
                fix="pass one of each for every detection",
            )
        if image_id in self._images:
            raise MaskRCNNError(
                "this image was added before", where=f"image {image_id}", fix="evaluate each image once"
            )
        self._images[image_id] = {"id": image_id, "height": int(size[0]), "width": int(size[1])}
        regions = [_region(crop, box) for crop, box in zip(truth.crops, truth.boxes, strict=True)]
        areas = [crop.area for crop in regions] if truth.areas is None else truth.areas.tolist()
        objects = zip(truth.boxes, truth.labels, truth.crowd, regions, areas, strict=True)
        for box, label, crowd, crop, area in objects:
            entry = {"id": len(self._truth) + 1, "image_id": image_id, "category_id": int(label), "bbox": _xywh(box)}
            self._truth.append(
                {**entry, "iscrowd": int(crowd), "area": area, "segmentation": encode(crop, size)},
            )
        found = [
            {"image_id": image_id, "category_id": int(label), "score": float(score)}
            for label, score in zip(labels, scores, strict=True)
        ]
        self._boxes += [{**entry, "bbox": _xywh(box)} for entry, box in zip(found, boxes, strict=True)]
        if masks is None:
            self._masks = None if found else self._masks
        elif self._masks is not None:
            self._masks += [{**entry, "segmentation": rle} for entry, rle in zip(found, masks.rle(), strict=True)]

    def compute(self) -> dict[str, float]:
        """box_AP, box_AP50, box_AP75, box_AP_small, box_AP_medium, box_AP_large and the same for mask, in percent.

        NaN where there is no truth (of that size), and for masks where none were given.
        """
        metrics: dict[str, float] = {}
        for kind, detections in (("box", self._boxes), ("mask", self._masks)):
            # [10 thresholds, 101 recalls, classes, 4 areas], -1 where there is no truth.
            precision = self._precision(kind, detections)
            metrics |= {f"{kind}_AP": _mean(precision[..., 0])}
            metrics |= {f"{kind}_AP50": _mean(precision[0, ..., 0]), f"{kind}_AP75": _mean(precision[5, ..., 0])}
            metrics |= {f"{kind}_AP{name}": _mean(precision[..., i]) for i, name in enumerate(_AREAS) if name}
        self.per_class = {name: _mean(precision[:, :, i, 0]) for i, name in enumerate(self.names)}
        return metrics

    def _precision(self, kind: str, detections: list[dict[str, Any]] | None) -> np.ndarray:
        if detections is None or not self._images:
            return np.full((10, 101, len(self.names), 4), -1.0)
        categories = [{"id": i, "name": name} for i, name in enumerate(self.names)]
        images = list(self._images.values())
        truth = COCO(
            {"images": images, "annotations": [dict(entry) for entry in self._truth], "categories": categories}
        )
        found = truth.loadRes([dict(entry) for entry in detections])
        run = COCOeval_faster(truth, found, "bbox" if kind == "box" else "segm")
        run.params.maxDets = [self.max_detections]
        run.evaluate()
        run.accumulate()
        return np.asarray(run.eval["precision"])[..., -1]


def _region(crop: Crop | None, box: np.ndarray) -> Crop:
    """The mask, or the box where there is none."""
    if crop is not None:
        return crop
    x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
    return Crop(np.ones((y2 - y1, x2 - x1), dtype=bool), x1, y1)


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(side) for side in box)
    return [x1, y1, x2 - x1, y2 - y1]


def _mean(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return float(known.mean()) * 100 if known.size else float("nan")
