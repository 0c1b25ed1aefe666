"""COCO run-length encoding of a mask: {"size": [H, W], "counts": str}.

Counts are the lengths of runs of 0 and 1 in turn, from 0, down the columns of the H x W image; COCO writes them as a
compressed string. Both ways here go between runs and the mask's crop: no H x W array is ever made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
from hotcoco import mask as coco_mask

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import EMPTY, Crop

MAX_PIXELS = 2**31 - 1
# The characters of compressed counts, which of all bytes are followed by more of their number, and the five bits of
# each: the last of a number has its sign.
_CHARACTERS = bytes(range(48, 112))
_GOES_ON = bytes(byte >= 80 for byte in range(256))
_DIGITS = np.array([(byte - 48) % 32 - (32 if 64 <= byte < 80 else 0) for byte in range(256)], dtype=np.int64)
_MOST_CHARACTERS = 7  # of a number below 2**31 and its sign


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
    edges = (columns[1:] != columns[:-1]).nonzero()[0]
    starts, stops = edges[0::2], edges[1::2] - 1
    boundaries = np.empty(edges.size + 2, dtype=np.int64)
    boundaries[0], boundaries[-1] = 0, height * width
    boundaries[1:-1:2] = (starts // max(pitch, 1) + x) * height + starts % max(pitch, 1) + y
    boundaries[2:-1:2] = (stops // max(pitch, 1) + x) * height + stops % max(pitch, 1) + y + 1
    counts = boundaries[1:] - boundaries[:-1]
    if counts.size > 1 and counts[-1] == 0:
        counts = counts[:-1]
    text = coco_mask.rle_to_string({"size": [height, width], "counts": counts.tolist()})
    return {"size": [height, width], "counts": text}


def decode(rle: Mapping[str, Any]) -> Crop:
    """The tight crop of a run-length encoded mask.

    Args:
        rle: size [H, W]; counts a compressed str or bytes, or a list of run lengths.

    Raises:
        MaskRCNNError: the size or the counts are malformed, or the runs do not add up to H * W.
    """
    height, width = _size(rle)
    counts = _counts(rle)
    ends = counts.cumsum()
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
    boundaries = np.empty(2 * starts.size + 2, dtype=np.int64)
    boundaries[0], boundaries[-1] = 0, w * h
    boundaries[1:-1:2] = (first - x) * h + top - y
    boundaries[2:-1:2] = (last - x) * h + bottom - y
    runs = boundaries[1:] - boundaries[:-1]
    values = np.zeros(runs.size, dtype=bool)
    values[1::2] = True
    return Crop(np.ascontiguousarray(values.repeat(runs).reshape(w, h).T), x, y)


def _size(rle: Mapping[str, Any]) -> tuple[int, int]:
    size: Any = rle.get("size")
    whole = isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(s, int | np.integer) for s in size)
    if not whole or min(size) < 0 or int(size[0]) * int(size[1]) > MAX_PIXELS:
        raise MaskRCNNError(
            f"expected an RLE size [height, width] of at most {MAX_PIXELS:,} pixels, found {str(size)[:80]}",
            fix="write the RLE again with the size of its image",
        )
    return int(size[0]), int(size[1])


def _counts(rle: Mapping[str, Any]) -> np.ndarray:
    """The run lengths, int64 [runs], none negative."""
    counts = rle.get("counts")
    try:
        if isinstance(counts, str | bytes):
            runs = _unpacked(counts.encode("ascii") if isinstance(counts, str) else counts)
        else:
            runs = np.asarray(counts)
            if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iu"):
                raise ValueError("expected a list of whole numbers")
            runs = runs.astype(np.int64)
        # A negative number is a huge one without its sign.
        if runs.size and runs.view(np.uint64).max() > MAX_PIXELS:
            raise ValueError(f"expected run lengths up to {MAX_PIXELS:,}, none negative")
    except (ValueError, TypeError, OverflowError) as error:
        raise MaskRCNNError(
            f"malformed RLE counts: {error}", fix="write the RLE again, for instance with maskrcnn.masks.rle.encode"
        ) from error
    return runs


def _unpacked(text: bytes) -> np.ndarray:
    """The run lengths in a compressed string, int64 [runs]; hotcoco decodes one to whole images only.

    A character is six bits above "0": five of a signed number, lowest first, and one that says whether more follow.
    From the fourth on, a number is the difference from the one two before.
    """
    goes_on = text.translate(_GOES_ON)
    if text.translate(None, _CHARACTERS) or goes_on.endswith(b"\1") or b"\1" * _MOST_CHARACTERS in goes_on:
        raise ValueError(f"expected numbers of 1 to {_MOST_CHARACTERS} characters from '0' to 'o'")
    digits, more = _DIGITS[np.frombuffer(text, dtype=np.uint8)], np.frombuffer(goes_on, dtype=np.uint8)[:-1]
    values, length = digits.copy(), 1
    while b"\1" * length in goes_on:
        values[:-1] = digits[:-1] + 32 * more * values[1:]
        length += 1
    first = np.ones(len(text), dtype=bool)
    first[1:] = more == 0
    runs = values[first]
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs
