"""One image for the metrics: its labels, its detections, and how far the two overlap.

Boxes are (x1, y1, x2, y2) in continuous pixels of the image; labels point into the data set's names.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hotcoco import mask as coco_mask

from maskrcnn.annotations.objects import Objects
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks import Masks, encode
from maskrcnn.masks.box_geometry import to_xywh


@dataclass(eq=False)
class EvaluatedImage:
    """N detections beside the M labelled objects of one image.

    Attributes:
        image_id: the image's own id.
        size: (H, W) of the image, the frame of everything below.
        truth: its labelled objects.
        boxes: float [N, 4].
        scores: float [N].
        labels: int [N], 0..C-1.
        masks: N masks, or None if masks are not measured.
        index: the image's index in its data set; -1 without one.
        found: how many detections the model gave, those of classes that the data lacks included; N unless given.
        picture: uint8 [H, W, 3], the image for the report, if it was kept.

    Raises:
        MaskRCNNError: boxes, scores, labels and masks differ in number.
    """

    image_id: int
    size: tuple[int, int]
    truth: Objects
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: Masks | None
    index: int = -1
    found: int | None = None
    picture: np.ndarray | None = None

    def __post_init__(self) -> None:
        masks = self.boxes if self.masks is None else self.masks
        lengths = [len(part) for part in (self.boxes, self.scores, self.labels, masks)]
        if len(set(lengths)) > 1:
            raise MaskRCNNError(
                f"expected as many boxes as scores, labels and masks, found {lengths}",
                where=f"image {self.image_id}",
                fix="pass one of each for every detection",
            )

    def select(self, rows: np.ndarray) -> EvaluatedImage:
        """The same image with these detections only, int [K], in this order."""
        parts = {"boxes": self.boxes[rows], "scores": self.scores[rows], "labels": self.labels[rows]}
        return dataclasses.replace(self, **parts, masks=None if self.masks is None else self.masks[rows])

    def above(self, score: float) -> EvaluatedImage:
        """The same image with the detections of at least that score, by falling score."""
        order = np.argsort(-np.asarray(self.scores), kind="stable")
        return self.select(order[self.scores[order] >= score])

    @cached_property
    def truth_xywh(self) -> np.ndarray:
        """float64 [M, 4]: x, y, width, height."""
        return to_xywh(self.truth.boxes)

    @cached_property
    def xywh(self) -> np.ndarray:
        """float64 [N, 4]: x, y, width, height."""
        return to_xywh(self.boxes)

    @cached_property
    def masked(self) -> np.ndarray:
        """bool [M]: which labelled objects have a mask."""
        return np.array([crop is not None for crop in self.truth.crops], dtype=bool)

    @cached_property
    def truth_areas(self) -> np.ndarray:
        """float64 [M]: the area that sorts objects by size: the label's own figure, else its mask's, else its box's."""
        if self.truth.areas is not None:
            return np.asarray(self.truth.areas, dtype=np.float64)
        return self.truth_pixels

    @cached_property
    def truth_box_areas(self) -> np.ndarray:
        """float64 [M]: the area of each object's box."""
        return self.truth_xywh[:, 2] * self.truth_xywh[:, 3]

    @cached_property
    def truth_pixels(self) -> np.ndarray:
        """float64 [M]: the area of each object's mask, or of its box without one."""
        pairs = zip(self.truth.crops, self.truth_box_areas, strict=True)
        return np.array([box if crop is None else crop.area for crop, box in pairs], dtype=np.float64)

    @cached_property
    def areas(self) -> np.ndarray:
        """float64 [N]: the area of each detection's mask, or of its box where masks are not measured."""
        if self.masks is None:
            return self.xywh[:, 2] * self.xywh[:, 3]
        return np.asarray(coco_mask.area(self.rle), dtype=np.float64).reshape(len(self.boxes))

    @cached_property
    def truth_rle(self) -> list[Any]:
        """M run lengths; an object without a mask is its whole box, a region in which detections are not judged."""
        pairs = zip(self.truth.crops, self.truth_xywh, strict=True)
        return [
            coco_mask.frBbox(box.tolist(), *self.size) if crop is None else encode(crop, self.size)
            for crop, box in pairs
        ]

    @cached_property
    def rle(self) -> list[Any]:
        """N run lengths; none without masks."""
        return [] if self.masks is None else list(self.masks.rle())

    def box_overlap(self) -> np.ndarray:
        """float64 [N, M]: IoU of boxes; with a crowd, the share of the detection that it covers."""
        overlap = coco_mask.bbox_iou(self.xywh, self.truth_xywh, self.truth.crowd)
        return overlap.reshape(len(self.boxes), len(self.truth.boxes))

    def mask_overlap(self) -> np.ndarray:
        """float64 [N, M]: IoU of masks; with a crowd or an object without a mask, the share that it covers."""
        shape = len(self.boxes), len(self.truth.boxes)
        if self.masks is None or 0 in shape:
            return np.zeros(shape)
        return coco_mask.iou(self.rle, self.truth_rle, self.truth.crowd | ~self.masked).reshape(shape)
