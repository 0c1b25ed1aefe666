"""A training sample: the pixels of a view of an image, and the objects that show in it, each mask in its box.

Frame: pixels of the sample; boxes are (x1, y1, x2, y2) with the origin at the outer corner of the top-left pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from maskrcnn.masks.box_geometry import box_areas, clip_to_image
from maskrcnn.masks.coverage import Polygons, coverage_patches
from maskrcnn.masks.patch import resample_patch
from maskrcnn.train.samples.instances import Instances
from maskrcnn.train.samples.view import Change, View

PATCH_LIMIT = 112
SLIVER_PIXELS = 2.0  # a side of the visible box; smaller objects are neither foreground nor background
SLIVER_SHARE = 0.1  # visible share of the mask; likewise
# A box that a window cuts by less is taken as whole: scaling to whole pixels moves it so far.
_UNCUT = 0.5


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
        """The sample after parts of some objects were hidden, and their patches or boxes reduced to the visible rest.

        Boxes become tight again. The box of a sliver becomes a region to ignore; an object hidden whole is removed. The
        same holds for objects too small to be found, hidden or not.
        """
        shares = np.ones(len(self.labels))
        boxes = self.boxes.copy()
        for k in map(int, objects):
            shares[k], boxes[k] = self._visible(k)
        large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= SLIVER_PIXELS
        keep = ((shares >= SLIVER_SHARE) & large).nonzero()[0]
        slivers = boxes[(shares > 0) & ~((shares >= SLIVER_SHARE) & large)]
        kept = replace(self, boxes=boxes).select(keep)
        return replace(kept, crowd=np.concatenate((self.crowd, slivers)))

    def select(self, objects: np.ndarray) -> Sample:
        """The sample with some of its objects, int [M]."""
        return replace(
            self,
            boxes=self.boxes[objects],
            frames=self.frames[objects],
            patches=[self.patches[k] for k in objects],
            labels=self.labels[objects],
            areas=self.areas[objects],
        )

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


class SampleInputs(NamedTuple):
    """What a sample is made of.

    Attributes:
        image: as it was read, uint8 or uint16 [H, W, C].
        instances: its objects.
        view: the window to show, and its scale.
        change: of the colours.
        limit: largest number of cells a side of a patch.
    """

    image: np.ndarray
    instances: Instances
    view: View
    change: Change | None = None
    limit: int = PATCH_LIMIT


def make_samples(batch: Sequence[SampleInputs]) -> list[Sample]:
    """The samples of a batch: what each view shows of the image and of its objects.

    The objects of all images are rasterised in one call, which is several times faster than one call an image.
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
    """The M objects of an image whose boxes its view shows, at least in part.

    Attributes:
        objects: int64 [M], their numbers.
        boxes: float64 [M, 4], cut at the edges.
        frames: float64 [M, 4], the whole pixels around.
        sizes: int64 [M, 2], (h, w) of the patches.
        cut: those of 0..M-1 that the edges cut.
    """

    objects: np.ndarray
    boxes: np.ndarray
    frames: np.ndarray
    sizes: np.ndarray
    cut: np.ndarray

    @classmethod
    def of(cls, inputs: SampleInputs) -> _VisibleObjects:
        whole = inputs.view.to_sample(inputs.instances.boxes)
        boxes = clip_to_image(whole, inputs.view.size)
        objects = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        whole, boxes = whole[objects], boxes[objects]
        frames = np.concatenate((np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])), axis=1)
        sizes = np.minimum((frames[:, 2:] - frames[:, :2])[:, ::-1], inputs.limit).astype(np.int64)
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
    outlined = np.zeros(len(patches), dtype=bool)
    outlined[together.owner] = True
    sources = [(inputs, k) for inputs, seen in zip(batch, visible, strict=True) for k in seen.objects.tolist()]
    for place in (~outlined).nonzero()[0].tolist():
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
    """Left becomes right."""
    width, patches = sample.image.shape[1], [patch[:, ::-1] for patch in sample.patches]
    return _moved(
        sample, _tensor(sample.image).flip(1), patches, lambda x1, y1, x2, y2: (width - x2, y1, width - x1, y2)
    )


def quarter_turn(sample: Sample) -> Sample:
    """A quarter turn counter-clockwise."""
    width, patches = sample.image.shape[1], [np.rot90(patch) for patch in sample.patches]
    return _moved(
        sample, _tensor(sample.image).rot90(), patches, lambda x1, y1, x2, y2: (y1, width - x2, y2, width - x1)
    )


def _moved(
    sample: Sample, image: torch.Tensor, patches: list[np.ndarray], move: Callable[..., tuple[np.ndarray, ...]]
) -> Sample:
    """The sample with other pixels and patches, and its boxes moved by their coordinates x1, y1, x2, y2."""
    boxes, frames, crowd = (np.stack(move(*boxes.T), axis=1) for boxes in (sample.boxes, sample.frames, sample.crowd))
    pixels = image.numpy().view(sample.image.dtype)
    return replace(sample, image=pixels, boxes=boxes, frames=frames, patches=patches, crowd=crowd)


def _tensor(image: np.ndarray) -> torch.Tensor:
    """The pixels for torch, which turns them several times faster than numpy and can do so with int16, not uint16."""
    return torch.from_numpy(image if image.dtype == np.uint8 else image.view(np.int16))
