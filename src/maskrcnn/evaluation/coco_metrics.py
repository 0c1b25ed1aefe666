"""COCO's box and mask average precision (AP) and recall (AR), in percent, as pycocotools counts them.

AP is the mean precision over 101 recall points, 10 IoU thresholds 0.50:0.05:0.95 and the classes; AR the mean recall
reached. Small, medium and large split objects by their area at 32² and 96² pixels. Detections that match a crowd, or
for masks an object that has only a box, are ignored.

hotcoco does the counting: it matches each image when it is added and keeps some 20 bytes a detection.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

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
        max_detections: how many of the best-scored detections of each class count in each image.

    Attributes:
        per_class: for each class name the metrics of that class alone; filled by `compute`.
    """

    def __init__(self, names: Sequence[str], max_detections: int) -> None:
        self.names, self.max_detections = tuple(names), max_detections
        self.limits = sorted({min(limit, max_detections) for limit in (1, 10, max_detections)})
        self.per_class: dict[str, dict[str, float]] = {}
        categories = [{"id": label, "name": name} for label, name in enumerate(self.names)]
        self._streams: dict[str, StreamingEval] = {}
        for kind, iou_type in KINDS.items():
            params = Params(iou_type)
            params.max_dets = self.limits
            self._streams[kind] = StreamingEval(categories, iou_type, params=params)
        self._images: set[int] = set()
        self._objects = 0

    def update(self, image: EvaluatedImage) -> None:
        """Add one image.

        Raises:
            MaskRCNNError: the image was added before.
        """
        number = image.image_id
        if number in self._images:
            raise MaskRCNNError("this image was added before", where=f"image {number}", fix="evaluate each image once")
        self._images.add(number)
        if image.masks is None and len(image.boxes):
            self._streams.pop("mask", None)
        record = [{"id": number, "height": int(image.size[0]), "width": int(image.size[1])}]
        keys = ("category_id", "bbox", "iscrowd", "area")
        labelled = (image.truth.labels, image.truth_xywh, image.truth.crowd.astype(int), image.truth_areas)
        rows = zip(*(column.tolist() for column in labelled), strict=True)
        truth = [
            {"id": row_id, "image_id": number, **dict(zip(keys, row, strict=True))}
            for row_id, row in enumerate(rows, self._objects + 1)
        ]
        self._objects += len(truth)
        columns = np.full((len(image.boxes), 7), float(number))
        columns[:, 1:5], columns[:, 5], columns[:, 6] = image.xywh, image.scores, image.labels
        self._streams["box"].update(record, truth, columns)
        if "mask" not in self._streams:
            return
        regions = [
            {**entry, "segmentation": rle, "iscrowd": entry["iscrowd"] or int(not masked)}
            for entry, rle, masked in zip(truth, image.truth_rle, image.masked, strict=True)
        ]
        # Without "bbox", whose area would be taken for that of the mask.
        found = [
            {"image_id": number, "category_id": label, "score": score, "segmentation": rle}
            for label, score, rle in zip(image.labels.tolist(), image.scores.tolist(), image.rle, strict=True)
        ]
        self._streams["mask"].update(record, regions, found)

    def compute(self) -> dict[str, float]:
        """In percent, for `kind` box and mask: {kind}_AP, _AP50, _AP75, _AP_small, _AP_medium, _AP_large, and
        {kind}_AR at the limit of detections, _AR1, _AR10 with so many an image and class, _AR_small, … by size.

        NaN without truth (of that size), and for masks if none were given. More images may be added afterwards.
        """
        classes: dict[str, np.ndarray] = {}
        for kind in KINDS:
            classes |= _class_values(kind, *self.arrays(kind), self.limits)
        rows = zip(*(values.tolist() for values in classes.values()), strict=True)
        metrics = (dict(zip(classes, row, strict=True)) for row in rows)
        self.per_class = dict(zip(self.names, metrics, strict=True))
        return {name: known_mean(values) for name, values in classes.items()}

    def arrays(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Precision [10 IoUs, 101 recalls, C, 4 areas, limits] and recall [10, C, 4, limits], -1 without truth."""
        shape = (len(self.names), len(AREAS), len(self.limits))
        if kind not in self._streams or not self._images:
            return np.full((_IOUS, _RECALLS, *shape), -1.0), np.full((_IOUS, *shape), -1.0)
        # `finalize` ends a stream; with a copy, more images can be added to this one.
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
