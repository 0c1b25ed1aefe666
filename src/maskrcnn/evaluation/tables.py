"""What is kept of the evaluated images: rows for their detections, their labelled objects and the pairs that overlap.

Masks and pixels are not kept; some 100 bytes a detection remain, whatever the images' size. The whole report is counted
from these rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np

from maskrcnn.evaluation.boundary_iou import band, band_width
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.masks.crop import EMPTY, crop_iou

Kind = Literal["box", "mask", "boundary"]
# Below it, an overlap counts as none (Bolya et al. 2020, t_b).
LEAST_OVERLAP = 0.1
_BOUNDARY_FROM = 0.5

IMAGE = np.dtype([("id", "i8"), ("index", "i4"), ("height", "i4"), ("width", "i4"), ("found", "i4")])
DETECTION = np.dtype([("image", "i4"), ("label", "i4"), ("score", "f8"), ("pixels", "f8")])
TRUTH = np.dtype(
    [
        ("image", "i4"),
        ("label", "i4"),
        ("area", "f8"),
        ("pixels", "f8"),
        ("fill", "f8"),
        ("crowd", "?"),
        ("masked", "?"),
    ]
)
PAIR = np.dtype([("detection", "i4"), ("truth", "i4"), ("box", "f8"), ("mask", "f8"), ("boundary", "f8")])


@dataclass(frozen=True)
class Tables:
    """The rows of all images, as structured arrays.

    Attributes:
        names: class names that labels point into.
        images: `IMAGE` rows by rising id: index in the data set, size in pixels, number of detections the model gave.
        detections: `DETECTION` rows, by image, and in each by falling score. `pixels` is the area of the mask, or of
            the box where masks are not measured.
        truths: `TRUTH` rows, by image. `area` is that by which metrics sort objects by size, `pixels` that of the mask,
            or of the box without one, and `fill` its share of the box.
        pairs: `PAIR` rows of a detection and a labelled object (row numbers) with an IoU of at least 0.1, in the order
            of the detections. `box`, `mask` and `boundary` are IoUs as COCO counts them; `boundary` is known from a
            mask IoU of 0.5 and for one class, else 0.
    """

    names: tuple[str, ...]
    images: np.ndarray
    detections: np.ndarray
    truths: np.ndarray
    pairs: np.ndarray

    @property
    def kind(self) -> Kind:
        """What objects are compared by: masks, or boxes if no label has a mask."""
        return "mask" if self.truths["masked"].any() or not len(self.truths) else "box"

    def regions(self, kind: Kind) -> np.ndarray:
        """bool [T]: regions, in which detections are not judged: crowds, and for masks objects that have only a box."""
        truths = self.truths
        return truths["crowd"] if kind == "box" else truths["crowd"] | ~truths["masked"]

    def without(self, labels: Collection[int]) -> Tables:
        """The same without the labelled objects of some classes."""
        kept = ~np.isin(self.truths["label"], list(labels))
        pairs = self.pairs[kept[self.pairs["truth"]]]
        pairs["truth"] = (np.cumsum(kept) - 1)[pairs["truth"]]
        return replace(self, truths=self.truths[kept], pairs=pairs)


class TableBuilder:
    """Builds `Tables` image by image."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._parts: dict[np.dtype, list[np.ndarray]] = {kind: [] for kind in (IMAGE, DETECTION, TRUTH, PAIR)}
        self._rows = dict.fromkeys(self._parts, 0)

    def update(self, image: EvaluatedImage) -> None:
        """Add one image."""
        order = np.argsort(-np.asarray(image.scores, dtype=np.float64), kind="stable")
        number, first_detection, first_truth = (self._rows[kind] for kind in (IMAGE, DETECTION, TRUTH))
        height, width = image.size
        found = len(order) if image.found is None else image.found
        self._add(IMAGE, 1, id=image.image_id, index=image.index, height=height, width=width, found=found)
        found_rows = {"label": image.labels[order], "score": image.scores[order], "pixels": image.areas[order]}
        self._add(DETECTION, len(order), image=number, **found_rows)
        truth = image.truth
        truths = {"label": truth.labels, "area": image.truth_areas, "crowd": truth.crowd, "masked": image.masked}
        truths |= {"pixels": image.truth_pixels, "fill": image.truth_pixels / np.maximum(image.truth_box_areas, 1e-9)}
        self._add(TRUTH, len(truth.boxes), image=number, **truths)
        box, mask = image.box_overlap()[order], image.mask_overlap()[order]
        pairs = rows, columns = np.nonzero(np.maximum(box, mask) >= LEAST_OVERLAP)
        overlaps = {"box": box[pairs], "mask": mask[pairs]}
        overlaps["boundary"] = _boundary_overlap(image, order[rows], columns, overlaps["mask"])
        self._add(PAIR, len(rows), detection=first_detection + rows, truth=first_truth + columns, **overlaps)

    def _add(self, kind: np.dtype, count: int, **columns: object) -> None:
        part = np.empty(count, dtype=kind)
        for name, values in columns.items():
            part[name] = values
        self._parts[kind].append(part)
        self._rows[kind] += count

    def tables(self) -> Tables:
        """All rows so far, images by rising id: of equal scores, COCO ranks those of the lower id first."""
        images, detections, truths, pairs = (
            np.concatenate([np.empty(0, kind), *parts]) for kind, parts in self._parts.items()
        )
        order = np.argsort(images["id"], kind="stable")
        # The argsort of a permutation is its inverse: the new number of each row.
        place = np.argsort(order)
        detections["image"], truths["image"] = place[detections["image"]], place[truths["image"]]
        by_detection, by_truth = (np.argsort(table["image"], kind="stable") for table in (detections, truths))
        pairs["detection"] = np.argsort(by_detection)[pairs["detection"]]
        pairs["truth"] = np.argsort(by_truth)[pairs["truth"]]
        by_pair = np.argsort(pairs["detection"], kind="stable")
        return Tables(self.names, images[order], detections[by_detection], truths[by_truth], pairs[by_pair])


def _boundary_overlap(image: EvaluatedImage, rows: np.ndarray, columns: np.ndarray, mask_iou: np.ndarray) -> np.ndarray:
    """float64 [P]: the smaller of mask and boundary IoU of each pair; a region's overlap; 0 where none can match."""
    masks, crops, crowd = image.masks, image.truth.crops, image.truth.crowd
    overlap = np.where((crowd | ~image.masked)[columns], mask_iou, 0.0)
    same = image.labels[rows] == image.truth.labels[columns]
    wanted = same & (mask_iou >= _BOUNDARY_FROM) & image.masked[columns] & ~crowd[columns]
    width = band_width(image.size)
    found_band = cache(lambda row: band(masks[row], width) if masks is not None else EMPTY)
    truth_band = cache(lambda column: band(crops[column] or EMPTY, width))
    for place in np.flatnonzero(wanted).tolist():
        bands = found_band(int(rows[place])), truth_band(int(columns[place]))
        overlap[place] = min(mask_iou[place], crop_iou(*bands))
    return overlap
