"""Photometric changes: one affine map of a pixel's channels, on 8 or 16 bits and any number of them.

Pixels are [H, W, C]. Eight-bit RGB changes in brightness, contrast, saturation and hue. The channels of other images
have no known meaning: each changes in brightness and contrast only, relative to its mean and standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from maskrcnn.config import Preprocess
from maskrcnn.training.samples.stain import StainChange, sample_stain

RESTAINED = 0.35  # share of the images that get other dyes, where colour is a stain


@dataclass(frozen=True)
class ColourChange:
    """new = matrix @ old + offset for each pixel, in units of its dtype, rounded and clipped to its range.

    Attributes:
        matrix: float32 [C, C].
        offset: float32 [C].
    """

    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 or uint16 [H, W, C] → the same."""
        limit = float(np.iinfo(pixels.dtype).max)
        deep = pixels.dtype == np.uint16
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float()
        changed = torch.empty(pixels.shape, dtype=torch.int32 if deep else torch.uint8)
        # Plane by plane: the same to the bit on any number of threads, which a matrix product is not.
        for channel, weights in enumerate(self.matrix.tolist()):
            total = torch.full_like(planes[0], float(self.offset[channel]) + 0.5)
            for plane, weight in zip(planes, weights, strict=True):
                if weight:
                    total.add_(plane, alpha=weight)
            changed[..., channel] = total.clamp_(0, limit)
        return changed.numpy().astype(np.uint16) if deep else changed.numpy()


def sample_change(
    strength: float, rng: np.random.Generator, preprocess: Preprocess, stains: bool = False
) -> ColourChange | StainChange | None:
    """A random change of a strength from 0 (None) to 1, for images with the channels that ``preprocess`` expects."""
    if not strength:
        return None
    if stains and preprocess.rgb and rng.random() < RESTAINED:
        return sample_stain(rng)
    return _sample_rgb(strength, rng, stains) if preprocess.rgb else _sample_channels(strength, rng, preprocess)


def _sample_rgb(strength: float, rng: np.random.Generator, stains: bool) -> ColourChange:
    """Brightness, contrast, saturation and hue at once: they are one affine map of RGB.

    ``stains`` adds, each to a part of the images, a hue of any angle, no colour at all, and the negative; besides, a
    part of them get other dyes, see `StainChange`.
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
    matrix = contrast * (grey + saturation * (hue - grey))
    offset = np.full(3, 127.5 * (1 - contrast) + brightness)
    return ColourChange(matrix.astype(np.float32), offset.astype(np.float32))


def _sample_channels(strength: float, rng: np.random.Generator, preprocess: Preprocess) -> ColourChange:
    """Contrast about each channel's mean, and brightness in units of its standard deviation; half of it shared."""
    channels, limit = len(preprocess.mean), preprocess.full_scale
    contrast = np.exp(0.35 * strength * (rng.uniform(-1, 1) + rng.uniform(-1, 1, channels)))
    brightness = 0.45 * strength * (rng.uniform(-1, 1) + rng.uniform(-1, 1, channels))
    mean, std = np.array(preprocess.mean), np.array(preprocess.std)
    offset = limit * (mean * (1 - contrast) + brightness * std)
    return ColourChange(np.diag(contrast).astype(np.float32), offset.astype(np.float32))
