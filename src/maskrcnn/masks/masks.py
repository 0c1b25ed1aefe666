"""The N masks of one image, each in its own box: what a result holds, and how it leaves as RLE or dense arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from maskrcnn.argument_checks import is_whole
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.masks.box_geometry import box_sides, clip_to_image
from maskrcnn.masks.crop import Crop
from maskrcnn.masks.paste import paste_mask
from maskrcnn.masks.rle import RLE, encode

CACHED_BYTES = 2**26  # pixels of pasted crops that are kept for the next call


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
        self._areas: np.ndarray | None = None

    @classmethod
    def from_probs(
        cls,
        probs: np.ndarray,
        boxes: np.ndarray,
        size: tuple[int, int],
        threshold: float = 0.5,
        quantize: bool = False,
    ) -> Masks:
        """Masks from probabilities [N, M, M] in boxes [N, 4], pasted (`paste_mask`) when first read."""
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
            self._crops = list(self._paste_each())
        return self._crops

    def _paste_each(self) -> Iterator[Crop]:
        assert self.probs is not None
        assert self.boxes is not None
        for prob, box in zip(self.probs, self.boxes, strict=True):
            yield paste_mask(prob, box, self.size, self.threshold, self.quantize)

    def _iter_crops(self) -> Iterable[Crop]:
        """The crops, cached if they are small in total; otherwise each is freed when the next is made."""
        if self._crops is None and self.boxes is not None:
            boxes = clip_to_image(np.nan_to_num(self.boxes.astype(np.float64)), self.size)
            if box_sides(boxes).clip(0).prod(-1).sum() > CACHED_BYTES:
                return self._paste_each()
        return self.crops

    def rle(self) -> list[RLE]:
        """COCO run-length encodings, one dict an object. Never holds more than one large mask at a time."""
        encoded, areas = [], []
        for crop in self._iter_crops():
            encoded.append(encode(crop, self.size))
            areas.append(crop.area)
        self._areas = np.array(areas, dtype=np.int64)
        return encoded

    def dense(self, max_bytes: int = 2**30) -> np.ndarray:
        """bool [N, H, W].

        Raises:
            MaskRCNNError: the array would need more than `max_bytes`.
        """
        masks = self._allocate("dense", self.size[1], bool, max_bytes)
        for mask, (bitmap, x, y) in zip(masks, self._iter_crops(), strict=True):
            mask[y : y + bitmap.shape[0], x : x + bitmap.shape[1]] = bitmap
        return masks

    def packed(self, max_bytes: int = 2**30) -> np.ndarray:
        """uint8 [N, H, ceil(W / 8)]: dense masks with eight pixels of a row a byte, as `np.unpackbits(…, axis=2)` reads
        them; an eighth of the memory.

        Raises:
            MaskRCNNError: the array would need more than `max_bytes`.
        """
        masks = self._allocate("packed", -(-self.size[1] // 8), np.uint8, max_bytes)
        for mask, (bitmap, x, y) in zip(masks, self._iter_crops(), strict=True):
            rows = np.packbits(np.pad(bitmap, ((0, 0), (x % 8, 0))), axis=1)
            mask[y : y + rows.shape[0], x // 8 : x // 8 + rows.shape[1]] = rows
        return masks

    def _allocate(self, form: str, row: int, dtype: type, max_bytes: int) -> np.ndarray:
        if not is_whole(max_bytes) or max_bytes < 0:
            found = shown(max_bytes)
            raise MaskRCNNError(f"max_bytes: expected a number of bytes, found {found}", fix="leave it out: 1 GiB")
        needed = len(self) * self.size[0] * row
        if needed > max_bytes:
            raise MaskRCNNError(
                f"{len(self)} {form} masks of {self.size[0]} x {self.size[1]} need {needed:,} bytes, "
                f"more than the {max_bytes:,} allowed",
                fix=f"use .rle() or .crops, which stay small, or pass max_bytes={needed}",
            )
        return np.zeros((len(self), self.size[0], row), dtype=dtype)

    def area(self) -> np.ndarray:
        """Pixels set in each mask, int64 [N]."""
        if self._areas is None:
            self._areas = np.array([crop.area for crop in self._iter_crops()], dtype=np.int64)
        return self._areas

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
        chosen = np.arange(len(self))[index if isinstance(index, slice) else _index_array(index)]
        part = Masks([] if self._crops is None else [self._crops[i] for i in chosen], self.size)
        part.threshold, part.quantize = self.threshold, self.quantize
        if self.probs is not None and self.boxes is not None:
            part.probs, part.boxes = self.probs[chosen], self.boxes[chosen]
        if self._crops is None:
            part._crops = None
        return part

    def __repr__(self) -> str:
        return f"Masks({len(self)} in {self.size[0]} x {self.size[1]})"


def _index_array(index: np.ndarray | Sequence[int] | Sequence[bool]) -> np.ndarray:
    array = np.asarray(index)
    return array if array.size else array.astype(np.int64)
