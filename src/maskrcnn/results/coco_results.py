"""Detections as COCO results, the rows that ``COCO.loadRes`` reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from maskrcnn.arguments import is_whole
from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.masks import Masks

IouType = Literal["segm", "bbox"]


def coco_results(
    image_id: int,
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    masks: Masks,
    class_names: Sequence[str],
    iou_type: IouType = "segm",
    file_name: str | None = None,
) -> list[dict[str, Any]]:
    """The N objects of one image as JSON-ready rows; `Result.to_coco` describes them.

    Args:
        boxes: float32 [N, 4], (x1, y1, x2, y2) in image pixels.
        scores: float32 [N].
        labels: int64 [N], into class_names; category_id is the label + 1.

    Raises:
        MaskRCNNError: image_id is not a whole number, or iou_type neither "segm" nor "bbox".
    """
    if not is_whole(image_id):
        raise MaskRCNNError(f"image_id: expected a whole number, found {shown(image_id)}", fix="number the images")
    if iou_type not in ("segm", "bbox"):
        raise MaskRCNNError(f"expected an iou_type 'segm' or 'bbox', found {shown(iou_type)}")
    rows: list[dict[str, Any]] = []
    columns = (labels.tolist(), boxes.tolist(), scores.tolist(), masks.rle(), masks.area().tolist())
    for label, (x1, y1, x2, y2), score, rle, area in zip(*columns, strict=True):
        row = {"image_id": image_id, **({"file_name": file_name} if file_name else {})}
        row |= {"category_id": label + 1, "category_name": class_names[label], "score": score}
        if iou_type == "segm":
            row |= {"area": area, "box": [x1, y1, x2, y2], "segmentation": rle}
        else:
            row |= {"area": (x2 - x1) * (y2 - y1), "bbox": [x1, y1, x2 - x1, y2 - y1]}
        rows.append(row)
    return rows
