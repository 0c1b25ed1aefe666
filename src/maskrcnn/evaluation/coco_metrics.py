"""COCO's box and mask average precision (AP) and recall (AR), in percent, as pycocotools counts them.

AP is the mean precision over 101 recall points, 10 IoU thresholds 0.50:0.05:0.95 and the classes; AR the mean recall
reached. Small, medium and large split objects by their area at 32² and 96² pixels. Crowd truth, and for masks truth
that has only a box, neither rewards nor punishes a detection.

The counting is hotcoco's: it matches each image as it comes and keeps some 20 bytes a detection.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from hotcoco import Params, StreamingEval

from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluated_image import EvaluatedImage

AREAS = ("", "_small", "_medium", "_large")
KINDS = {"box": "bbox", "mask": "segm"}
_IOUS, _RECALLS = 10, 101


class CocoMetrics:
    """Box and mask metrics of the images added so far.

    Args:
        names: class names that labels point into.
        max_detections: of each class in each image, so many of the best-scored detections count.

    Attributes:
        per_class: for each class name the metrics of `compute` for that class alone; filled by it.
    """

    def __init__(self, names: Sequence[str], max_detections: int) -> None:
        self.names, self.max_detections = tuple(names), max_detections
        self.limits = sorted({min(limit, max_detections) for limit in (1, 10, max_detections)})
        self.per_class: dict[str, dict[str, float]] = {}
        categories = [{"id": label, "name": name} for label, name in enumerate(self.names)]
        self._streams = {kind: self._stream(library_kind, categories) for kind, library_kind in KINDS.items()}
        self._images: set[int] = set()
        self._objects = 0

    def _stream(self, kind: str, categories: list[dict[str, Any]]) -> StreamingEval:
        params = Params(kind)
        params.max_dets = self.limits
        return StreamingEval(categories, kind, params=params)

    def update(self, sample: EvaluatedImage) -> None:
        """Add one image.

        Raises:
            MaskRCNNError: the image was added before.
        """
        number = sample.image_id
        if number in self._images:
            raise MaskRCNNError("this image was added before", where=f"image {number}", fix="evaluate each image once")
        self._images.add(number)
        if sample.masks is None and len(sample.boxes):
            self._streams.pop("mask", None)
        image = [{"id": number, "height": int(sample.size[0]), "width": int(sample.size[1])}]
        truth = self._truth(sample)
        for kind, stream in self._streams.items():
            if kind == "box":
                columns = np.full((len(sample.boxes), 7), float(number))
                columns[:, 1:5], columns[:, 5], columns[:, 6] = sample.xywh, sample.scores, sample.labels
                stream.update(image, truth, columns)
            else:
                regions = [
                    {**entry, "segmentation": rle, "iscrowd": entry["iscrowd"] or int(not masked)}
                    for entry, rle, masked in zip(truth, sample.truth_rle, sample.masked, strict=True)
                ]
                found = zip(sample.labels.tolist(), sample.scores.tolist(), sample.rle, strict=True)
                # Without "bbox": with it, the box's area would tell small masks from large ones.
                keys = ("image_id", "category_id", "score", "segmentation")
                stream.update(image, regions, [dict(zip(keys, (number, *item), strict=True)) for item in found])

    def _truth(self, sample: EvaluatedImage) -> list[dict[str, Any]]:
        start, truth = self._objects + 1, sample.truth
        self._objects += len(truth.boxes)
        columns = (truth.labels, sample.truth_xywh, truth.crowd.astype(int), sample.truth_areas)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            {
                "id": number,
                "image_id": sample.image_id,
                "category_id": label,
                "bbox": box,
                "iscrowd": crowd,
                "area": area,
            }
            for number, (label, box, crowd, area) in enumerate(rows, start)
        ]

    def compute(self) -> dict[str, float]:
        """In percent, for `kind` box and mask: {kind}_AP, _AP50, _AP75, _AP_small, _AP_medium, _AP_large, and
        {kind}_AR at the limit of detections, _AR1, _AR10 with so many an image and class, _AR_small, … by size.

        NaN where there is no truth (of that size), and for masks where none were given. More images may be added later.
        """
        classes: dict[str, np.ndarray] = {}
        for kind in KINDS:
            classes |= _class_values(kind, *self.arrays(kind), self.limits)
        rows = zip(*(values.tolist() for values in classes.values()), strict=True)
        self.per_class = {
            name: dict(zip(classes, row, strict=True)) for name, row in zip(self.names, rows, strict=True)
        }
        return {name: known_mean(values) for name, values in classes.items()}

    def arrays(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Precision [10 IoUs, 101 recalls, C, 4 areas, limits] and recall [10, C, 4, limits], -1 without truth."""
        shape = (len(self.names), len(AREAS), len(self.limits))
        if kind not in self._streams or not self._images:
            return np.full((_IOUS, _RECALLS, *shape), -1.0), np.full((_IOUS, *shape), -1.0)
        # A stream ends when it is read; a copy lets this one go on.
        run = copy.copy(self._streams[kind]).finalize()
        run.accumulate()
        counted = run.eval or {}
        return counted["precision"], counted["recall"]


def _class_values(kind: str, precision: np.ndarray, recall: np.ndarray, limits: list[int]) -> dict[str, np.ndarray]:
    """Each metric for each class, in percent: float64 [C], NaN without truth."""
    best, at_limit = precision[..., -1], recall[..., -1]
    values = {"AP": best[..., 0].mean((0, 1)), "AP50": best[0, ..., 0].mean(0), "AP75": best[5, ..., 0].mean(0)}
    values |= {f"AP{area}": best[..., i].mean((0, 1)) for i, area in enumerate(AREAS) if area}
    values |= {f"AR{area}": at_limit[..., i].mean(0) for i, area in enumerate(AREAS)}
    values |= {f"AR{limit}": recall[:, :, 0, limits.index(min(limit, limits[-1]))].mean(0) for limit in (1, 10)}
    # A class without truth (of that size) is -1 throughout.
    return {f"{kind}_{name}": np.where(value < 0, np.nan, value * 100) for name, value in values.items()}


def known_mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean of the values that are not NaN; NaN if all are."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")
