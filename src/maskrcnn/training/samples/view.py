"""The part of an image that a training sample shows: a scale and a window, and the map between their coordinates.

Frames: (x, y) in continuous pixels of the image → pixels of the sample, zoom * x - shift on each axis; the origin is
the outer corner of the top-left pixel in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from maskrcnn.images.block_mean import shrink_by_blocks
from maskrcnn.rasters.region import Region

Change = Callable[[np.ndarray], np.ndarray]


class Axis(NamedTuple):
    """One axis of a view.

    Attributes:
        first, stop: the range of stored pixels that is resampled, a little wider than what is shown.
        scaled: how many pixels the range becomes.
        skip, length: which of these are shown.
        zoom, shift: from image pixels to those shown.
    """

    first: int
    stop: int
    scaled: int
    skip: int
    length: int
    zoom: float
    shift: float

    @classmethod
    def of(cls, pixels: int, zoom: float, start: float, limit: int | None, shrink: int) -> Axis:
        """At most ``limit`` pixels of an axis of ``pixels`` scaled by ``zoom``, from image pixel ``start`` on.

        Range and result are whole pixels, so zoom and start come out a little different from those asked for.
        """
        length = max(round(pixels * zoom), 1) if limit is None else min(max(round(pixels * zoom), 1), limit)
        margin = math.ceil(1 / (zoom * shrink)) + 1  # what the averaging filter reads beyond the window
        first = max(math.floor(start / shrink) - margin, 0)
        stop = min(math.ceil((start + length / zoom) / shrink) + margin, -(-pixels // shrink))
        scaled = max(round((stop - first) * shrink * zoom), length)
        zoom = scaled / ((stop - first) * shrink)
        skip = min(max(round((start - first * shrink) * zoom), 0), scaled - length)
        return cls(first, stop, scaled, skip, length, zoom, first * shrink * zoom + skip)


class View(NamedTuple):
    """A window of an image, scaled: the two axes."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        zoom: float,
        corner: tuple[float, float] = (0.0, 0.0),
        canvas: int | None = None,
        shrink: int = 1,
    ) -> View:
        """The view of an image of ``size`` (H, W).

        Args:
            zoom: pixels of the sample per pixel of the image.
            corner: (x, y) of the window in image pixels.
            canvas: largest height and width of the window in pixels of the sample; None for no limit.
            shrink: how many times smaller the image is stored than ``size`` says.
        """
        return cls(*(Axis.of(size[i], zoom, corner[1 - i], canvas, shrink) for i in (0, 1)))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the sample."""
        return self.rows.length, self.columns.length

    @property
    def area_zoom(self) -> float:
        """The factor by which areas grow."""
        return self.columns.zoom * self.rows.zoom

    def to_sample(self, points: np.ndarray) -> np.ndarray:
        """Points [P, 2] or boxes [N, 4] of the image in pixels of the sample; they may lie outside it."""
        zoom, shift = self._scaling(points.shape[-1])
        return points * zoom - shift

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points or boxes of the sample in pixels of the image."""
        zoom, shift = self._scaling(points.shape[-1])
        return (points + shift) / zoom

    def _scaling(self, numbers: int) -> tuple[np.ndarray, np.ndarray]:
        """Zoom and shift for x and y of points (2 numbers) or boxes (4)."""
        rows, columns = self
        pair = np.array([[columns.zoom, rows.zoom] * 2, [columns.shift, rows.shift] * 2])[:, :numbers]
        return pair[0], pair[1]

    def region(self, image: tuple[int, int], shrink: int) -> Region:
        """What is resampled of an image of this size (H, W), ``shrink`` of whose pixels become one."""
        (top, bottom), (left, right) = (
            (axis.first * shrink, min(axis.stop * shrink, edge)) for axis, edge in zip(self, image, strict=True)
        )
        return Region(left, top, right - left, bottom - top)

    def of_region(self) -> View:
        """The same view, to take its pixels from those of its region alone."""
        return View(*(axis._replace(first=0, stop=axis.stop - axis.first) for axis in self))

    def pixels(self, image: np.ndarray, change: Change | None = None) -> np.ndarray:
        """The sample's pixels [h, w, C] of an image as stored, uint8 or uint16 [H, W, C], averaged when shrunk.

        ``change`` is a change of colours, done before or after scaling, wherever fewer pixels are.
        """
        rows, columns = self
        part = np.ascontiguousarray(image[rows.first : rows.stop, columns.first : columns.stop])
        early = change is not None and part.shape[0] * part.shape[1] < rows.length * columns.length
        if change is not None and early:
            part = change(part)
        part = resize(part, rows.scaled, columns.scaled)
        part = part[rows.skip : rows.skip + rows.length, columns.skip : columns.skip + columns.length]
        return part if change is None or early else change(part)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, averaging when shrinking: uint8 or uint16 [h, w, C] → [height, width, C] of the same type."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if (fewer := shrink_by_blocks(pixels, (height, width))) is not pixels:
        return resize(np.rint(fewer).astype(pixels.dtype), height, width)
    channels = pixels.shape[2]
    if pixels.dtype == np.uint8 and channels > 4:
        # torch is ten times faster on up to four channels, interleaved, than on more.
        parts = [resize(np.ascontiguousarray(pixels[..., c : c + 4]), height, width) for c in range(0, channels, 4)]
        return np.concatenate(parts, axis=2)
    source = torch.from_numpy(pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32))
    # The batch axis comes first: its stride tells torch that channels are interleaved, in what follows too.
    planes = source[None].permute(0, 3, 1, 2)
    scaled = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    if pixels.dtype == np.uint8:
        return scaled.numpy()
    return np.rint(scaled.numpy()).clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)


def largest_shrink(zoom: float) -> int:
    """The largest factor of 1, 2, 4 and 8 by which an image may be read smaller without loss at this zoom."""
    return next((times for times in (8, 4, 2) if zoom * times <= 1), 1)
