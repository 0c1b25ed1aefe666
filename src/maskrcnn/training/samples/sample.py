"""A training sample: the pixels of a view of an image, and the objects that show in it, each mask in its box.

Frame: pixels of the sample; boxes are (x1, y1, x2, y2) with the origin at the outer corner of the top-left pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from maskrcnn.masks.box_geometry import box_areas, box_sides, clip_to_image
from maskrcnn.masks.coverage import Polygons, coverage_patches
from maskrcnn.masks.patch import resample_patch
from maskrcnn.training.samples.instances import Instances
from maskrcnn.training.samples.view import Change, View

PATCH_LIMIT = 112
SLIVER_PIXELS = 2.0  # a side of the visible box; smaller objects are neither foreground nor background
SLIVER_SHARE = 0.1  # visible share of the mask; likewise
_UNCUT = 0.5  # pixels; a window that removes less does not cut a box: scaling to whole pixels moves it as far


OBJECT_ARRAYS = ("boxes", "frames", "labels", "areas")  # of a `Sample`, each with a row for an object


@dataclass
class Sample:
    """One image and its N objects, before padding to a batch."""

    image: np.ndarray  # uint8 or uint16 [H, W, C]
    boxes: np.ndarray  # float32 [N, 4], tight around what is visible
    frames: np.ndarray  # float32 [N, 4], the whole pixels around that, which each patch divides into cells
    patches: list[np.ndarray]  # N of uint8 [h, w], coverage 0..255; 0 x 0 for an object that has a box only
    labels: np.ndarray  # int64 [N]
    areas: np.ndarray  # float32 [N], pixels that each mask would have if nothing cut or covered it
    crowd: np.ndarray  # float32 [Q, 4], regions to ignore
    seed: int = 0  # with which the losses sample anchors and RoIs

    def cut(self, objects: Sequence[int] | np.ndarray) -> Sample:
        """The sample after parts of some objects were hidden, and their patches or boxes reduced to what is visible.

        Boxes become tight again. Slivers and objects that are too small become regions to ignore; objects hidden
        completely are removed.
        """
        shares, boxes = np.ones(len(self.labels)), self.boxes.copy()
        for k in map(int, objects):
            shares[k], boxes[k] = self._visible(k)
        keep = (shares >= SLIVER_SHARE) & (box_sides(boxes).min(axis=1, initial=np.inf) >= SLIVER_PIXELS)
        kept = replace(self, boxes=boxes).select(keep.nonzero()[0])
        return replace(kept, crowd=np.concatenate((self.crowd, boxes[(shares > 0) & ~keep])))

    def select(self, objects: np.ndarray) -> Sample:
        """The sample with some of its objects, int [M]."""
        arrays = {name: getattr(self, name)[objects] for name in OBJECT_ARRAYS}
        return replace(self, patches=[self.patches[k] for k in objects], **arrays)

    def _visible(self, k: int) -> tuple[float, np.ndarray]:
        """The visible share of an object, and the tight box of that part."""
        patch, box = self.patches[k], self.boxes[k]
        if not patch.size:
            return min(float(box_areas(box) / self.areas[k]), 1.0), box
        x1, y1, x2, y2 = self.frames[k].tolist()
        # A thin object covers no cell of a coarse patch by half.
        seen: np.ndarray = patch > min(127, int(patch.max()) // 2)
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if not rows.size:
            return 0.0, box
        wide, high = (x2 - x1) / patch.shape[1], (y2 - y1) / patch.shape[0]
        tight = x1 + columns[0] * wide, y1 + rows[0] * high, x1 + (columns[-1] + 1) * wide, y1 + (rows[-1] + 1) * high
        box = np.concatenate((np.maximum(tight[:2], box[:2]), np.minimum(tight[2:], box[2:])))
        share = float(patch.sum(dtype=np.int64)) / 255 * wide * high / float(self.areas[k])
        return min(share, 1.0), box


def whole_pixels(boxes: np.ndarray) -> np.ndarray:
    """The smallest boxes [N, 4] of whole pixels around boxes [N, 4]."""
    return np.concatenate((np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])), axis=1)


class SampleInputs(NamedTuple):
    """What a sample is made of."""

    image: np.ndarray  # as it was read, uint8 or uint16 [H, W, C]
    instances: Instances
    view: View
    change: Change | None = None  # of the colours
    limit: int = PATCH_LIMIT  # largest number of cells along a side of a patch


def make_samples(batch: Sequence[SampleInputs]) -> list[Sample]:
    """The samples of a batch: what each view shows of its image and objects.

    The objects of all images are rasterised in one call, which is several times faster than a call for each image.
    """
    pixels = [inputs.view.pixels(inputs.image, inputs.change) for inputs in batch]
    visible = [_VisibleObjects.of(inputs) for inputs in batch]
    patches = iter(_object_patches(batch, visible))
    samples = []
    for (_, instances, view, *_), image, seen in zip(batch, pixels, visible, strict=True):
        crowd = clip_to_image(view.to_sample(instances.crowd), view.size).astype(np.float32)
        sample = Sample(
            image,
            seen.boxes.astype(np.float32),
            seen.frames.astype(np.float32),
            [next(patches) for _ in seen.objects],
            instances.labels[seen.objects],
            (instances.areas[seen.objects] * view.area_zoom).astype(np.float32),
            crowd[(crowd[:, 2:] > crowd[:, :2]).all(axis=1)],
        )
        samples.append(sample.cut(seen.cut))
    return samples


class _VisibleObjects(NamedTuple):
    """The M objects of an image whose boxes its view shows, at least in part."""

    objects: np.ndarray  # int64 [M], their numbers
    boxes: np.ndarray  # float64 [M, 4], cut at the edges
    frames: np.ndarray  # float64 [M, 4], the whole pixels around them
    sizes: np.ndarray  # int64 [M, 2], (h, w) of the patches
    cut: np.ndarray  # which of 0..M-1 the edges cut

    @classmethod
    def of(cls, inputs: SampleInputs) -> _VisibleObjects:
        whole = inputs.view.to_sample(inputs.instances.boxes)
        boxes = clip_to_image(whole, inputs.view.size)
        objects = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        whole, boxes = whole[objects], boxes[objects]
        frames = whole_pixels(boxes)
        sizes = np.minimum(box_sides(frames)[:, ::-1], inputs.limit).astype(np.int64)
        cut = np.flatnonzero((np.abs(whole - boxes) > _UNCUT).any(axis=1))
        return cls(objects, boxes, frames, sizes, cut)


def _object_patches(batch: Sequence[SampleInputs], visible: Sequence[_VisibleObjects]) -> list[np.ndarray]:
    """The patches of all visible objects, image after image; 0 x 0 for an object that has a box only."""
    polygons, first = [], 0
    for (_, instances, view, *_), seen in zip(batch, visible, strict=True):
        own = instances.polygons if len(seen.objects) == len(instances.boxes) else instances.polygons.of(seen.objects)
        polygons.append(Polygons(view.to_sample(own.points), own.starts, own.owner + first))
        first += len(seen.objects)
    together = Polygons.concatenate(polygons)
    frames, sizes = (np.concatenate([getattr(seen, name) for seen in visible]) for name in ("frames", "sizes"))
    patches = coverage_patches(together, frames, sizes)
    sources = [(inputs, k) for inputs, seen in zip(batch, visible, strict=True) for k in seen.objects.tolist()]
    for place in np.setdiff1d(np.arange(len(patches)), together.owner).tolist():
        (_, instances, view, *_), k = sources[place]
        crop = instances.crops.get(k)
        if crop is None:
            patches[place] = np.zeros((0, 0), dtype=np.uint8)
        else:
            x1, y1, x2, y2 = (view.to_image(frames[place]) - (crop.x, crop.y, crop.x, crop.y)).tolist()
            rows, columns = sizes[place].tolist()
            patches[place] = resample_patch(crop.bitmap, (x1, y1, x2, y2), (rows, columns))
    return patches


def mirror(sample: Sample) -> Sample:
    """The sample mirrored left to right."""
    width, patches = sample.image.shape[1], [patch[:, ::-1] for patch in sample.patches]
    return _moved(sample, lambda image: image.flip(1), patches, lambda x1, y1, x2, y2: (width - x2, y1, width - x1, y2))


def quarter_turn(sample: Sample) -> Sample:
    """The sample turned counter-clockwise by 90 degrees."""
    width, patches = sample.image.shape[1], [np.rot90(patch) for patch in sample.patches]
    return _moved(sample, torch.rot90, patches, lambda x1, y1, x2, y2: (y1, width - x2, y2, width - x1))


def _moved(
    sample: Sample,
    turn: Callable[[torch.Tensor], torch.Tensor],
    patches: list[np.ndarray],
    move: Callable[..., tuple[np.ndarray, ...]],
) -> Sample:
    """The sample with its pixels turned, other patches, and its boxes moved by their coordinates x1, y1, x2, y2."""
    # torch turns pixels several times faster than numpy, and can do so with int16, not uint16.
    pixels = torch.from_numpy(sample.image if sample.image.dtype == np.uint8 else sample.image.view(np.int16))
    image = turn(pixels).numpy().view(sample.image.dtype)
    boxes, frames, crowd = (np.stack(move(*boxes.T), axis=1) for boxes in (sample.boxes, sample.frames, sample.crowd))
    return replace(sample, image=image, boxes=boxes, frames=frames, patches=patches, crowd=crowd)
