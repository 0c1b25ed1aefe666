"""Copy-paste (Ghiasi et al. 2021): objects of one training sample are pasted into another.

Pasted objects replace the pixels they cover and, cell by cell, the masks under them: a patch keeps the coverage that is
still visible, and its box becomes tight again. A sliver becomes a region to ignore; an object that is covered
completely is removed. One map says how much of each pixel is covered; no mask has the size of the image.

An object without a mask may be anywhere in its box. Rows and columns at the edges of the box that are covered
completely are cut off; if more than half of the box is covered, the rest becomes a region to ignore.

Frame: pixels of the sample that is pasted into.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from maskrcnn.masks.box_geometry import clip_to_image
from maskrcnn.masks.patch import resample_patch, to_patch
from maskrcnn.training.samples.sample import OBJECT_ARRAYS, PATCH_LIMIT, Sample, whole_pixels

INSIDE_SHARE = 0.5  # an object is pasted if at least this share of its visible part lies inside the other sample
UNKNOWN_SHARE = 0.5  # a box without a mask becomes a region to ignore if more of it is covered


def copy_paste(sample: Sample, source: Sample, rng: np.random.Generator) -> Sample:
    """The sample with a random part of the source's masked objects pasted over it, at a random place.

    Args:
        source: with patches as fine as its pixels, so that pasted edges are too.
    """
    masked = np.array([k for k, patch in enumerate(source.patches) if patch.size], dtype=np.int64)
    if not len(masked):
        return sample
    chosen = rng.permutation(masked)[: rng.integers(1, len(masked) + 1)]
    room = np.array(sample.image.shape[1::-1]) - source.image.shape[1::-1]
    # The smaller of the two samples lies anywhere within the larger.
    offset = rng.integers(np.minimum(room, 0), np.maximum(room, 0) + 1)
    return paste(sample, source.select(np.sort(chosen)), offset)


def paste(sample: Sample, source: Sample, offset: np.ndarray) -> Sample:
    """The sample with all objects of the source pasted over it, its pixel (0, 0) at ``offset`` = (x, y).

    Objects that would mostly lie outside are left out.
    """
    arriving = _arrivals(sample, source, offset)
    if not len(arriving.labels):
        return sample
    cover = _cover(sample, arriving)
    left = _covered(sample, cover)
    image = _blend(sample.image, source.image, cover, offset)
    patches = left.patches + [to_patch(patch, PATCH_LIMIT) for patch in arriving.patches]
    arrays: dict[str, Any] = {
        name: np.concatenate((getattr(left, name), getattr(arriving, name))) for name in OBJECT_ARRAYS
    }
    return replace(left, image=image, patches=patches, **arrays)


def _arrivals(sample: Sample, source: Sample, offset: np.ndarray) -> Sample:
    """The source's objects in the pixels of the sample, cut at its edges; without those that mostly lie outside."""
    size = sample.image.shape[:2]
    shift = np.tile(offset, 2).astype(np.float32)
    frames = source.frames + shift
    inside = clip_to_image(frames, size)
    patches = []
    for patch, before, now in zip(source.patches, frames.astype(np.int64), inside.astype(np.int64), strict=True):
        (x, y, _, _), (x1, y1, x2, y2) = before.tolist(), now.tolist()
        patches.append(patch[y1 - y : y2 - y, x1 - x : x2 - x])
    whole, part = ([int(patch.sum(dtype=np.int64)) for patch in each] for each in (source.patches, patches))
    keep = np.flatnonzero([b and b >= INSIDE_SHARE * a for a, b in zip(whole, part, strict=True)])
    boxes = clip_to_image(source.boxes + shift, size)
    moved = replace(source, boxes=boxes, frames=inside, patches=patches).select(keep)
    return moved.cut(np.flatnonzero((frames != inside).any(axis=1)[keep]))


def _cover(sample: Sample, arriving: Sample) -> np.ndarray:
    """How much of each pixel of the sample the arriving objects cover, uint8 [H, W], 0..255."""
    cover = np.zeros(sample.image.shape[:2], dtype=np.uint8)
    for patch, (x1, y1, x2, y2) in zip(arriving.patches, arriving.frames.astype(np.int64).tolist(), strict=True):
        covered = cover[y1:y2, x1:x2]
        # Neighbours in the source share the pixels between them.
        np.add(covered, np.minimum(patch, 255 - covered), out=covered)
    return cover


def _covered(sample: Sample, cover: np.ndarray) -> Sample:
    """What is left of the sample's objects under the cover."""
    boxes, patches = sample.boxes.copy(), list(sample.patches)
    changed, unknown = np.zeros((2, len(patches)), dtype=bool)
    frames = whole_pixels(boxes).astype(np.int64)
    for k, patch in enumerate(patches):
        x1, y1, x2, y2 = (sample.frames[k].astype(np.int64) if patch.size else frames[k]).tolist()
        above = cover[y1:y2, x1:x2]
        if not above.any():
            continue
        if patch.size:
            changed[k] = True
            left = 255 - resample_patch(above, (0, 0, x2 - x1, y2 - y1), patch.shape).astype(np.uint16)
            patches[k] = ((patch * left + 127) // 255).astype(np.uint8)
        else:
            hidden = above == 255
            changed[k], unknown[k] = hidden.any(), hidden.mean() > UNKNOWN_SHARE
            boxes[k] = _trimmed(boxes[k], hidden, x1, y1)
    known = np.flatnonzero(~unknown)
    regions = boxes[unknown & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    left_over = replace(sample, boxes=boxes, patches=patches, crowd=np.concatenate((sample.crowd, regions)))
    return left_over.select(known).cut(np.flatnonzero(changed[known]))


def _trimmed(box: np.ndarray, hidden: np.ndarray, x: int, y: int) -> np.ndarray:
    """A box without the rows and columns at its edges that are hidden, bool [h, w] from pixel (x, y); maybe empty."""
    rows, columns = np.flatnonzero(~hidden.all(axis=1)), np.flatnonzero(~hidden.all(axis=0))
    if not rows.size:
        return np.zeros(4, dtype=np.float32)
    low = np.maximum(box[:2], (x + columns[0], y + rows[0]))
    high = np.minimum(box[2:], (x + columns[-1] + 1, y + rows[-1] + 1))
    return np.concatenate((low, high)).astype(np.float32)


def _blend(image: np.ndarray, source: np.ndarray, cover: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """A copy of the image with the source's pixels where it is covered, mixed where it is partly covered."""
    blended = image.copy()
    x, y = offset.tolist()
    y1, x1 = max(y, 0), max(x, 0)
    y2, x2 = min(y + source.shape[0], image.shape[0]), min(x + source.shape[1], image.shape[1])
    target, over = blended[y1:y2, x1:x2], source[y1 - y : y2 - y, x1 - x : x2 - x]
    share = cover[y1:y2, x1:x2]
    np.copyto(target, over, where=(share == 255)[..., None])
    mixed = (share > 0) & (share < 255)
    weight = share[mixed].astype(np.float32)[:, None] / 255
    target[mixed] = np.rint(target[mixed] * (1 - weight) + over[mixed] * weight).astype(image.dtype)
    return blended
