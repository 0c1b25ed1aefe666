"""COCO run-length encoding of a mask: {"size": [H, W], "counts": str}.

Counts are the lengths of runs of 0 and 1 in turn, from 0, down the columns of the H x W image; COCO writes them as a
compressed string. Both ways here go between runs and the mask's crop: no H x W array is ever made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
from faster_coco_eval.core import mask as coco_mask

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import EMPTY, Crop

MAX_PIXELS = 2**31 - 1


class RLE(TypedDict):
    """One mask: size is [H, W] in pixels, counts the compressed ASCII string."""

    size: list[int]
    counts: str


def encode(crop: Crop, size: tuple[int, int]) -> RLE:
    """The run-length encoding of a crop in an image of `size` (H, W)."""
    height, width = size
    bitmap, x, y = crop
    h, w = bitmap.shape
    if x < 0 or y < 0 or x + w > width or y + h > height:
        raise MaskRCNNError(
            f"expected a mask inside the {width} x {height} image, found x {x}..{x + w}, y {y}..{y + h}",
            fix="clip the mask to the image",
        )
    # A row of zeros under the bitmap ends each run with its column, unless the columns touch in the image too.
    pitch = h + 1 if h < height else h
    columns = np.zeros(w * pitch + 2, dtype=np.int8)
    columns[1:-1].reshape(w, pitch)[:, :h] = bitmap.T
    edges = np.flatnonzero(columns[1:] != columns[:-1])
    starts, stops = edges[0::2], edges[1::2] - 1
    places = np.empty(edges.size + 2, dtype=np.int64)
    places[0], places[-1] = 0, height * width
    places[1:-1:2] = (starts // max(pitch, 1) + x) * height + starts % max(pitch, 1) + y
    places[2:-1:2] = (stops // max(pitch, 1) + x) * height + stops % max(pitch, 1) + y + 1
    counts = np.diff(places)
    if counts.size > 1 and counts[-1] == 0:
        counts = counts[:-1]
    packed: Any = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    packed_counts = packed["counts"]
    text = packed_counts.decode("ascii") if isinstance(packed_counts, bytes) else packed_counts
    return {"size": [height, width], "counts": text}


def decode(rle: Mapping[str, Any]) -> Crop:
    """The tight crop of a run-length encoded mask.

    Args:
        rle: size [H, W]; counts a compressed str or bytes, or a list of run lengths.

    Raises:
        MaskRCNNError: the size or the counts are malformed, or the runs do not add up to H * W.
    """
    height, width = _size(rle)
    counts = _counts(rle, height, width)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if ends.size else 0
    if total != height * width:
        raise MaskRCNNError(
            f"expected run lengths that add up to {height} x {width} = {height * width}, found {total}",
            fix="write the RLE again with the size of its image",
        )
    starts, stops = ends[:-1:2], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled]
    if not starts.size:
        return EMPTY
    first, last = starts // height, (stops - 1) // height
    top, bottom = starts % height, (stops - 1) % height + 1
    x, w = int(first[0]), int(last[-1] - first[0]) + 1
    # A run that goes on into the next column makes the box as high as the image.
    wraps = bool((first != last).any())
    y, h = (0, height) if wraps else (int(top.min()), int(bottom.max() - top.min()))
    places = np.empty(2 * starts.size + 2, dtype=np.int64)
    places[0], places[-1] = 0, w * h
    places[1:-1:2] = (first - x) * h + top - y
    places[2:-1:2] = (last - x) * h + bottom - y
    runs = np.diff(places)
    values = np.zeros(runs.size, dtype=bool)
    values[1::2] = True
    return Crop(np.ascontiguousarray(np.repeat(values, runs).reshape(w, h).T), x, y)


def _size(rle: Mapping[str, Any]) -> tuple[int, int]:
    size: Any = rle.get("size")
    whole = isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(s, int | np.integer) for s in size)
    if not whole or min(size) < 0 or int(size[0]) * int(size[1]) > MAX_PIXELS:
        raise MaskRCNNError(
            f"expected an RLE size [height, width] of at most {MAX_PIXELS:,} pixels, found {str(size)[:80]}",
            fix="write the RLE again with the size of its image",
        )
    return int(size[0]), int(size[1])


def _counts(rle: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """The run lengths, int64 [runs], none negative."""
    counts = rle.get("counts")
    try:
        if isinstance(counts, str | bytes):
            packed = {"size": [height, width], "counts": counts.encode("ascii") if isinstance(counts, str) else counts}
            counts = coco_mask._mask.toUncompressedRLE([packed])[0]["counts"]
        runs = np.asarray(counts)
        if runs.ndim != 1 or (runs.size and (runs.dtype.kind not in "iu" or runs.min() < 0 or runs.max() > MAX_PIXELS)):
            raise ValueError("expected a list of whole numbers, none negative")
    except (ValueError, RuntimeError, TypeError, OverflowError) as error:
        raise MaskRCNNError(
            f"malformed RLE counts: {error}", fix="write the RLE again, for instance with maskrcnn.masks.rle.encode"
        ) from error
    return runs.astype(np.int64)
