"""The N masks of one image, each in its own box: what a result holds, and how it leaves as RLE or dense arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Crop
from maskrcnn.masks.paste import paste
from maskrcnn.masks.rle import RLE, encode


class Masks:
    """N masks in an image of `size` (H, W).

    Attributes:
        size: (H, W) of the image.
        probs: float32 [N, M, M] if built from probabilities, else None.
        boxes: float32 [N, 4] that the probabilities live in, (x1, y1, x2, y2) in image pixels, else None.
    """

    def __init__(self, crops: Sequence[Crop], size: tuple[int, int]) -> None:
        self.size = (int(size[0]), int(size[1]))
        self.probs: np.ndarray | None = None
        self.boxes: np.ndarray | None = None
        self.threshold, self.quantize = 0.5, False
        self._crops: list[Crop] | None = list(crops)

    @classmethod
    def from_probs(
        cls,
        probs: np.ndarray,
        boxes: np.ndarray,
        size: tuple[int, int],
        threshold: float = 0.5,
        quantize: bool = False,
    ) -> Masks:
        """Masks from probabilities [N, M, M] in boxes [N, 4]; they are pasted when first asked for (see `paste`)."""
        probs, boxes = np.asarray(probs, dtype=np.float32), np.asarray(boxes, dtype=np.float32)
        if probs.ndim != 3 or boxes.shape != (len(probs), 4) or probs.shape[1] != probs.shape[2]:
            raise MaskRCNNError(
                f"expected probabilities [N, M, M] and boxes [N, 4], found {list(probs.shape)} and {list(boxes.shape)}",
                fix="pass one square mask and one box an object",
            )
        masks = cls([], size)
        masks._crops, masks.probs, masks.boxes = None, probs, boxes
        masks.threshold, masks.quantize = threshold, quantize
        return masks

    @property
    def crops(self) -> list[Crop]:
        """The exact masks, one crop an object."""
        if self._crops is None:
            pairs = zip(self.probs, self.boxes, strict=True)  # type: ignore[arg-type]
            self._crops = [paste(prob, box, self.size, self.threshold, self.quantize) for prob, box in pairs]
        return self._crops

    def rle(self) -> list[RLE]:
        """COCO run-length encodings, one dict an object."""
        return [encode(crop, self.size) for crop in self.crops]

    def dense(self, max_bytes: int = 2**30) -> np.ndarray:
        """bool [N, H, W].

        Raises:
            MaskRCNNError: the array would need more than `max_bytes`.
        """
        needed = len(self) * self.size[0] * self.size[1]
        if needed > max_bytes:
            raise MaskRCNNError(
                f"{len(self)} dense masks of {self.size[0]} x {self.size[1]} need {needed:,} bytes, "
                f"more than the {max_bytes:,} allowed",
                fix=f"use .rle() or .crops, which stay small, or pass max_bytes={needed}",
            )
        masks = np.zeros((len(self), *self.size), dtype=bool)
        for mask, (bitmap, x, y) in zip(masks, self.crops, strict=True):
            mask[y : y + bitmap.shape[0], x : x + bitmap.shape[1]] = bitmap
        return masks

    def area(self) -> np.ndarray:
        """Pixels set in each mask, int64 [N]."""
        return np.array([crop.area for crop in self.crops], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._crops) if self._crops is not None else len(self.probs) if self.probs is not None else 0

    def __iter__(self) -> Iterator[Crop]:
        return iter(self.crops)

    @overload
    def __getitem__(self, index: int) -> Crop: ...
    @overload
    def __getitem__(self, index: slice | np.ndarray | Sequence[int] | Sequence[bool]) -> Masks: ...
    def __getitem__(self, index: int | slice | np.ndarray | Sequence[int] | Sequence[bool]) -> Crop | Masks:
        """One crop for a number; Masks for a slice, whole numbers [K] or booleans [N]."""
        if isinstance(index, int | np.integer):
            return self.crops[index]
        chosen = np.arange(len(self))[index if isinstance(index, slice) else _indices(index)]
        part = Masks([] if self._crops is None else [self._crops[i] for i in chosen], self.size)
        part.threshold, part.quantize = self.threshold, self.quantize
        if self.probs is not None and self.boxes is not None:
            part.probs, part.boxes = self.probs[chosen], self.boxes[chosen]
        if self._crops is None:
            part._crops = None
        return part

    def __repr__(self) -> str:
        return f"Masks({len(self)} in {self.size[0]} x {self.size[1]})"


def _indices(index: np.ndarray | Sequence[int] | Sequence[bool]) -> np.ndarray:
    array = np.asarray(index)
    return array if array.size else array.astype(np.int64)
