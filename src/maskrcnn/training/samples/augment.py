"""Augmentation of a training image (large-scale jitter: Ghiasi et al. 2021).

A random scale and window make a `View`; polygons are rasterised at that scale straight into their boxes, and pixels are
resampled once. Flips and turns are applied to the small result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from maskrcnn.config import Preprocess
from maskrcnn.masks.box_geometry import box_areas
from maskrcnn.training.samples.colour import sample_change
from maskrcnn.training.samples.sample import Sample, mirror, quarter_turn
from maskrcnn.training.samples.training_scale import training_scale
from maskrcnn.training.samples.view import Change, View, largest_shrink


class AugmentationPlan(NamedTuple):
    """How one image is augmented: its view and colours, then quarter turns, then mirroring left to right."""

    size: tuple[int, int]  # (H, W) of the image
    zoom: float  # pixels of the sample per pixel of the image
    corner: tuple[float, float]  # (x, y) of the window in image pixels
    canvas: int | None  # largest height and width of the window; None for no limit
    change: Change | None
    turns: int
    mirrored: bool

    @property
    def shrink(self) -> int:
        """How many times smaller the image may be read."""
        return largest_shrink(self.zoom)

    def view(self, image: np.ndarray) -> View:
        """What to show of the image as it was read, [H, W, C] or ``shrink`` times smaller."""
        return self._view(1 if image.shape[:2] == self.size else self.shrink)

    @property
    def shrunk_view(self) -> View:
        """As `view`, of an image that is ``shrink`` times smaller for certain."""
        return self._view(self.shrink)

    def _view(self, shrink: int) -> View:
        return View.of(self.size, self.zoom, self.corner, self.canvas, shrink)

    def turned(self, sample: Sample) -> Sample:
        """The sample of that view, turned and mirrored."""
        for _ in range(self.turns):
            sample = quarter_turn(sample)
        return mirror(sample) if self.mirrored else sample


@dataclass(frozen=True)
class Augmentation:
    """The distribution that augmentations are sampled from.

    Attributes:
        flip: mirror left to right, half the time.
        turns: any of the eight flips and quarter turns; for images without a fixed orientation, such as microscopy.
        scale: range of the random factor on top of the model's own resizing, uniform; (0.1, 2) is large-scale jitter.
        colour: strength of brightness, contrast, saturation and hue changes; 0 none, 1 strong.
        stains: also any hue, negatives, grey and other dyes at random; for images whose colour depends on a stain or a
            channel.
        object_crops: share of the windows that show a random object completely, preferably a small one.
        copy_paste: share of the images that get objects of another image pasted in, see `copy_paste`.
    """

    flip: bool = True
    turns: bool = False
    scale: tuple[float, float] = (0.6, 1.6)
    colour: float = 0.4
    stains: bool = False
    object_crops: float = 0.5
    copy_paste: float = 0.0

    def plan(
        self,
        size: tuple[int, int],
        boxes: np.ndarray,
        preprocess: Preprocess,
        canvas: int | None,
        rng: np.random.Generator,
    ) -> AugmentationPlan:
        """A random plan for an image of ``size`` (H, W).

        Args:
            boxes: float [N, 4], of its objects.
            preprocess: how the model resizes images; a scale of 1 means this size, see `training_scale`.
            canvas: the sample is a window of at most canvas×canvas pixels; None for the whole image at any size.
        """
        zoom = training_scale(size, preprocess) * float(rng.uniform(*self.scale))
        corner = self._corner(size, zoom, canvas, boxes, rng)
        change = sample_change(self.colour, rng, preprocess, self.stains)
        turns = int(rng.integers(4)) if self.turns else 0
        mirrored = (self.flip or self.turns) and bool(rng.random() < 0.5)
        return AugmentationPlan(size, zoom, corner, canvas, change, turns, mirrored)

    def _corner(
        self, size: tuple[int, int], zoom: float, canvas: int | None, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[float, float]:
        """The (x, y) of the window in an image of ``size``: anywhere, or where it shows a random object whole."""
        image = np.array([size[1], size[0]], dtype=np.float64)
        window = image if canvas is None else np.minimum(image, canvas / zoom)
        low, high = np.zeros(2), image - window
        if len(boxes) and high.any() and rng.random() < self.object_crops:
            # An object of a sixteenth of the area is sampled twice as often.
            weights = np.maximum(box_areas(boxes), 1) ** -0.25
            box = boxes[rng.choice(len(boxes), p=weights / weights.sum())]
            # From where the window ends with the object to where it begins with it; the other way round for an object
            # larger than the window.
            low, high = np.sort((box[2:] - window, box[:2]), axis=0).clip(0, high)
        x, y = (low + (high - low) * rng.random(2)).tolist()
        return x, y
