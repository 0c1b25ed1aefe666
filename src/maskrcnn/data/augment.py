"""Augmentation: flips, quarter turns, scale jitter with a crop, colour changes.

Masks never leave their boxes. A flip or turn mirrors the small patch; scaling and cropping only move the frame the
patch lives in. What a crop cuts off shows in the box alone, which is tight around the visible part of the patch.

Frame: pixels of the image as it stands after each step; boxes are (x1, y1, x2, y2) with the origin at the outer corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from maskrcnn.data.objects import Objects
from maskrcnn.masks.patch import rasterise_patch

PATCH_LIMIT = 112
SLIVER_PIXELS = 2.0  # an object of which a crop leaves less is neither object nor background
SLIVER_SHARE = 0.1  # likewise by the share of its mask


@dataclass
class Sample:
    """One image and its N objects on the way to a batch."""

    image: np.ndarray  # uint8 [H, W, 3]
    boxes: np.ndarray  # float32 [N, 4], visible part
    frames: np.ndarray  # float32 [N, 4], where each patch lies, also outside the image
    patches: list[np.ndarray]  # N of uint8 [h, w], coverage 0..255; 0 x 0 for an object that has a box only
    labels: np.ndarray  # int64 [N]
    crowd: np.ndarray  # float32 [Q, 4], regions to ignore
    seed: int = 0  # from which the losses draw anchors and RoIs

    @classmethod
    def of(cls, image: np.ndarray, objects: Objects) -> Sample:
        """A sample of a labelled image, masks rasterised once into their boxes."""
        single = np.flatnonzero(~objects.crowd)
        frames, patches = objects.boxes[single], []
        for row, crop in enumerate(objects.crops[int(index)] for index in single):
            if crop is None:
                patches.append(np.zeros((0, 0), dtype=np.uint8))
            else:
                height, width = crop.bitmap.shape
                frames[row] = crop.x, crop.y, crop.x + width, crop.y + height
                patches.append(rasterise_patch(crop, PATCH_LIMIT))
        return cls(image, objects.boxes[single], frames, patches, objects.labels[single], objects.boxes[objects.crowd])


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image.

    Attributes:
        flip: mirror left to right, half the time.
        turns: any of the eight flips and quarter turns; for images without an up, such as microscopy.
        scale: range of the random factor on top of the model's own resizing, drawn evenly in its logarithm.
        colour: strength of brightness, contrast, saturation and hue changes; 0 none, 1 strong.
        stains: also any hue, negatives and grey at random; where colour means a stain or a channel, not a thing.
    """

    flip: bool = True
    turns: bool = False
    scale: tuple[float, float] = (0.6, 1.6)
    colour: float = 0.4
    stains: bool = False

    def __call__(self, sample: Sample, scale: float, canvas: int, rng: np.random.Generator) -> Sample:
        """The sample changed at random and cut to at most canvas×canvas pixels; ``scale`` is the model's resizing."""
        if self.turns:
            for _ in range(rng.integers(4)):
                sample = quarter_turn(sample)
        if (self.flip or self.turns) and rng.random() < 0.5:
            sample = mirror(sample)
        low, high = np.log(self.scale)
        sample = scale_and_crop(sample, scale * float(np.exp(rng.uniform(low, high))), canvas, rng)
        if self.colour:
            sample.image = change_colour(sample.image, self.colour, rng, self.stains)
        return sample


def mirror(sample: Sample) -> Sample:
    """Left becomes right."""
    width = sample.image.shape[1]

    def turned(boxes: np.ndarray) -> np.ndarray:
        return np.stack((width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), axis=1)

    return _moved(sample, sample.image[:, ::-1], [patch[:, ::-1] for patch in sample.patches], turned)


def quarter_turn(sample: Sample) -> Sample:
    """A quarter turn counter-clockwise."""
    width = sample.image.shape[1]

    def turned(boxes: np.ndarray) -> np.ndarray:
        return np.stack((boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]), axis=1)

    return _moved(sample, np.rot90(sample.image), [np.rot90(patch) for patch in sample.patches], turned)


def _moved(sample: Sample, image: np.ndarray, patches: list[np.ndarray], turned) -> Sample:  # type: ignore[no-untyped-def]
    return Sample(
        image, turned(sample.boxes), turned(sample.frames), patches, sample.labels, turned(sample.crowd.reshape(-1, 4))
    )


def scale_and_crop(sample: Sample, scale: float, canvas: int, rng: np.random.Generator) -> Sample:
    """Resize by ``scale`` and cut a random window of at most canvas×canvas pixels, in one resampling."""
    height, width = sample.image.shape[:2]
    window_h, window_w = min(height, canvas / scale), min(width, canvas / scale)
    out_h, out_w = (min(max(round(edge * scale), 1), canvas) for edge in (window_h, window_w))
    top, left = rng.uniform(0, height - window_h), rng.uniform(0, width - window_w)
    # Only the window's surroundings are handed to PIL: turning a whole large image into one costs more than the resize.
    y0, x0 = max(int(top) - 2, 0), max(int(left) - 2, 0)
    y1, x1 = min(int(top + window_h) + 3, height), min(int(left + window_w) + 3, width)
    around = Image.fromarray(np.ascontiguousarray(sample.image[y0:y1, x0:x1]))
    box = (left - x0, top - y0, min(left - x0 + window_w, x1 - x0), min(top - y0 + window_h, y1 - y0))
    image = np.asarray(around.resize((out_w, out_h), Image.Resampling.BILINEAR, box=box))
    shift = np.array([left, top, left, top], dtype=np.float32)
    zoom = np.array([out_w / window_w, out_h / window_h] * 2, dtype=np.float32)
    frames, boxes, crowd = (
        (part.reshape(-1, 4) - shift) * zoom for part in (sample.frames, sample.boxes, sample.crowd)
    )
    limit = np.array([out_w, out_h, out_w, out_h], dtype=np.float32)
    keep, slivers, visible_boxes = [], [], np.clip(boxes, 0, limit)
    for index, (box_before, box_now) in enumerate(zip(boxes, visible_boxes, strict=True)):
        if np.array_equal(box_before, box_now):
            share = 1.0
        else:
            if sample.patches[index].size:
                share, box_now = _visible(sample.patches[index], frames[index], box_now, limit)
                visible_boxes[index] = box_now
            else:
                share = float(np.prod(box_now[2:] - box_now[:2]) / np.prod(box_before[2:] - box_before[:2]))
        if share >= SLIVER_SHARE and min(box_now[2] - box_now[0], box_now[3] - box_now[1]) >= SLIVER_PIXELS:
            keep.append(index)
        elif share > 0:
            slivers.append(box_now)
    crowd = np.clip(crowd, 0, limit)
    crowd = crowd[(crowd[:, 2:] > crowd[:, :2]).all(axis=1)]
    return Sample(
        image,
        visible_boxes[keep],
        frames[keep],
        [sample.patches[index] for index in keep],
        sample.labels[keep],
        np.concatenate((crowd, np.array(slivers, dtype=np.float32).reshape(-1, 4))),
    )


def _visible(patch: np.ndarray, frame: np.ndarray, clipped: np.ndarray, limit: np.ndarray) -> tuple[float, np.ndarray]:
    """Share of a patch's mask inside (0, 0)–limit, and the tight box of that part."""
    if (clipped[2:] <= clipped[:2]).any():
        return 0.0, clipped
    cell = (frame[2:] - frame[:2]) / patch.shape[::-1]
    edges_x = frame[0] + np.arange(patch.shape[1] + 1) * cell[0]
    edges_y = frame[1] + np.arange(patch.shape[0] + 1) * cell[1]
    inside_x = (edges_x[1:] > 0) & (edges_x[:-1] < limit[0])
    inside_y = (edges_y[1:] > 0) & (edges_y[:-1] < limit[1])
    # A thin object covers no cell of a coarse patch by half.
    mask = patch > min(127, int(patch.max()) // 2)
    seen = mask & inside_y[:, None] & inside_x
    if not seen.any():
        return 0.0, clipped
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    tight = np.array(
        [edges_x[columns[0]], edges_y[rows[0]], edges_x[columns[-1] + 1], edges_y[rows[-1] + 1]], dtype=np.float32
    )
    box = np.concatenate((np.maximum(tight[:2], clipped[:2]), np.minimum(tight[2:], clipped[2:])))
    return float(seen.sum() / mask.sum()), box


def change_colour(image: np.ndarray, strength: float, rng: np.random.Generator, stains: bool = False) -> np.ndarray:
    """Brightness, contrast, saturation and hue at once: they are one affine map of RGB.

    ``stains`` adds, each to a part of the images, a hue of any angle, no colour at all, and the negative.
    """
    contrast, saturation = np.exp(rng.uniform(-0.7, 0.7, 2) * strength)
    brightness = rng.uniform(-50, 50) * strength
    angle = rng.uniform(-0.5, 0.5) * strength
    if stains:
        angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else angle
        saturation *= rng.choice([0.0, 1.0, 2.0], p=[0.2, 0.6, 0.2])
        contrast *= rng.choice([-1.0, 1.0], p=[0.2, 0.8])
    grey = np.full((3, 3), 1 / 3)
    axis = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    # Rodrigues' rotation about the grey axis turns the hue.
    hue = np.eye(3) * np.cos(angle) + axis * np.sin(angle) + grey * (1 - np.cos(angle))
    matrix = (contrast * (grey + saturation * (hue - grey))).astype(np.float32)
    offset = np.float32(127.5 * (1 - contrast) + brightness)
    return np.clip(image.astype(np.float32) @ matrix.T + offset, 0, 255).astype(np.uint8)
