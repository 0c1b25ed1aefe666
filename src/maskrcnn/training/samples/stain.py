"""Other stains: an image of cells as it would look with nuclei in one dye and their surroundings in another.

A dye absorbs light, so densities add where colours do not: a pixel is 255 exp(-(a u + b v)) for the amounts a, b of two
dyes of colours u, v (Ruifrok and Johnston 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

# Optical densities of red, green and blue of one amount of a dye (Ruifrok and Johnston 2001).
HAEMATOXYLIN, EOSIN, DAB = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78)
DARK = 0.35  # the median of an image whose background is dark: fluorescence
_OF_DENSITY = np.linalg.inv(np.array([HAEMATOXYLIN, EOSIN, DAB]))  # densities → amounts of the three


@dataclass(frozen=True)
class StainChange:
    """Nuclei in one dye, what surrounds them in another.

    In a bright image the dyes are told apart by their colours, and haematoxylin is what nuclei have; in a dark one
    nuclei are what shines. More of the second dye lies between the nuclei, in clouds, and in lines as a dye of
    cell walls leaves them.

    Attributes:
        nuclei, surroundings: float64 [3], densities of red, green and blue of one amount of each dye.
        amounts: factors on the amounts of the two.
        clouds: float32 [h, w], 0..1, stretched over the image.
        waves: float32 [h, w], 0..1, stretched likewise; lines run where it crosses a half.
        lines: share of the clouds that is in lines, 0..1.
    """

    nuclei: np.ndarray
    surroundings: np.ndarray
    amounts: tuple[float, float]
    clouds: np.ndarray
    waves: np.ndarray
    lines: float

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] → the same."""
        values = pixels.astype(np.float32) / 255
        grey = values.mean(-1)
        first, second = (grey, 0.0) if np.median(grey) < DARK else _unmixed(values)
        first = (first / max(float(np.quantile(first, 0.99)), 1 / 255)).clip(0, 1.2)
        clouds, waves = _stretched(self.clouds, grey.shape), _stretched(self.waves, grey.shape)
        walls = (1 - np.abs(2 * waves - 1)) ** 4
        second = second + clouds * (1 - self.lines + 2 * self.lines * walls) * (1 - 0.7 * first).clip(0, 1)
        first, second = first * self.amounts[0], second * self.amounts[1]
        planes = [np.exp(-(first * u + second * v)) for u, v in zip(self.nuclei, self.surroundings, strict=True)]
        return (np.stack(planes, axis=-1) * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _stretched(grid: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return F.interpolate(torch.from_numpy(grid)[None, None], size, mode="bicubic")[0, 0].clamp(0, 1).numpy()


def _unmixed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Amounts [H, W] of haematoxylin and of the other dyes in values 0..1 [H, W, 3]."""
    red, green, blue = (-np.log(np.maximum(values[..., channel], 1 / 255)) for channel in range(3))
    haematoxylin, eosin, dab = (
        np.maximum(red * weights[0] + green * weights[1] + blue * weights[2], 0) for weights in _OF_DENSITY.T
    )
    return haematoxylin, eosin + dab


def sample_stain(rng: np.random.Generator) -> StainChange:
    """Haematoxylin with DAB (brown) or eosin (pink), each of a slightly other colour and amount."""
    other = DAB if rng.random() < 0.7 else EOSIN
    nuclei, surroundings = (np.array(dye) * rng.uniform(0.8, 1.25, 3) for dye in (HAEMATOXYLIN, other))
    clouds = rng.random(tuple(rng.integers(2, 33, 2))).astype(np.float32) * 1.6 - 0.3
    waves = rng.random(tuple(rng.integers(8, 65, 2))).astype(np.float32)
    amounts = float(rng.uniform(0.3, 1.4)), float(rng.uniform(0.2, 1.5))
    return StainChange(nuclei, surroundings, amounts, clouds, waves, float(rng.uniform(0, 1)))
