"""Test inputs for an artifact, made for its model: photos of several sizes, a crowd, a blank image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from maskrcnn.config import Preprocess
from maskrcnn.images.input_size import padded_size
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime.artifact_contract import DIVISOR

NEVER = 2.0  # an unreachable score


@dataclass(frozen=True)
class Scene:
    """A network input of one image: float32 [1, C, H, W], int64 [1, 2], and the lowest score asked for.

    An ``empty`` one should give no detections. If the model finds some, as a barely trained one may, both run with an
    unreachable score: all boxes of a uniform image score alike, and their order is noise.
    """

    what: str
    images: np.ndarray
    sizes: np.ndarray
    score: float = 0.0
    empty: bool = False


def scenes(model: MaskRCNN, own: Sequence[np.ndarray] = (), smallest: int = 1) -> list[Scene]:
    """Scenes of at least three sizes, one with many objects and one without any.

    Args:
        own: the user's images [H, W, C], at most two of which are added.
        smallest: least height and width of an input, in pixels.
    """
    from skimage import data

    preprocess = model.config.preprocess
    short, grey = min(preprocess.short[0], preprocess.long), preprocess.full_scale // 2
    wide = min(round(short * 4 / 3), preprocess.long)
    photos = [
        _as_stored(photo, preprocess)
        for photo in (data.astronaut(), data.immunohistochemistry(), data.coffee(), data.chelsea())
    ]
    made = [
        scene("photo", _resized(photos[0], short, wide), smallest),
        scene("tall photo", _resized(photos[1], round(short * 0.8), round(short * 0.55)), smallest),
        scene("small photo", _resized(photos[2], short // 3 + 5, short // 2 + 3), smallest),
        scene("crowd", crowd(photos, short, wide), smallest),
        replace(scene("blank", np.full((short // 2, short, preprocess.channels), grey), smallest), empty=True),
    ]
    for number, image in enumerate(own[:2], start=1):
        height, width = image.shape[:2]
        scale = min(short / min(height, width), preprocess.long / max(height, width))
        size = max(round(height * scale), 1), max(round(width * scale), 1)
        made.append(scene(f"your image {number}", _resized(image, *size), smallest))
    return made


def scene(what: str, image: np.ndarray, smallest: int = 1) -> Scene:
    """The input that holds an image [H, W, C] of stored values."""
    height, width = image.shape[:2]
    rows, columns = padded_size([(max(height, smallest), max(width, smallest))], DIVISOR)
    images = np.zeros((1, image.shape[2], rows, columns), np.float32)
    images[0, :, :height, :width] = image.transpose(2, 0, 1)
    return Scene(what, images, np.array([[height, width]], np.int64))


def crowd(photos: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """An image of this size tiled with small photos, so that any model detects many objects."""
    side = max(min(height, width) // 8, 16)
    tiles = [_resized(photo, side, side) for photo in photos]
    down, across = -(-height // side), -(-width // side)
    rows = [np.concatenate([tiles[(x + 3 * y) % len(tiles)] for x in range(across)], axis=1) for y in range(down)]
    return np.concatenate(rows)[:height, :width]


def _as_stored(photo: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """A photo uint8 [H, W, 3] with the channels and depth of the model: float32 [H, W, C]."""
    channels = [photo[..., index % 3] for index in range(preprocess.channels)]
    return np.stack(channels, axis=-1).astype(np.float32) * (preprocess.full_scale / 255)


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(tensor, (max(height, 8), max(width, 8)), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).numpy()
