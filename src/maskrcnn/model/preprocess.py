"""From images of any size to one padded batch, and from boxes in that batch back to the images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from maskrcnn.model.config import Preprocess


def resize_scale(height: int, width: int, preprocess: Preprocess) -> float:
    """The factor by which an image is enlarged: shortest edge into ``short``, longest edge at most ``long``."""
    shortest, longest = min(height, width), max(height, width)
    low, high = preprocess.short
    return min(min(max(shortest, low), high) / shortest, preprocess.long / longest)


def resized_size(height: int, width: int, preprocess: Preprocess) -> tuple[int, int]:
    """Size of the image in the network input: (height, width), at least one pixel."""
    scale = resize_scale(height, width, preprocess)
    return max(math.floor(height * scale), 1), max(math.floor(width * scale), 1)


def padded_size(sizes: Sequence[tuple[int, int]], divisor: int) -> tuple[int, int]:
    """The smallest (height, width) of multiples of ``divisor`` that holds images of all these sizes."""
    height, width = (-(-max(edge) // divisor) * divisor for edge in zip(*sizes, strict=True))
    return height, width


def prepare(
    images: Sequence[Tensor], preprocess: Preprocess, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Resize images uint8 or uint16 [C, h, w] bilinearly and pad them from the top left into one batch.

    Returns:
        float [B, C, H, W] of values as stored (RGB 0..255) with H, W multiples of ``divisor``, and sizes int [B, 2].
    """
    sizes = [resized_size(image.shape[1], image.shape[2], preprocess) for image in images]
    height, width = padded_size(sizes, preprocess.divisor)
    batch = torch.zeros(len(images), preprocess.channels, height, width, device=device)
    for place, image, (rows, columns) in zip(batch, images, sizes, strict=True):
        source = _sent(image, device).float()
        if source.shape[1:] != (rows, columns):
            source = F.interpolate(
                source[None], (rows, columns), mode="bilinear", align_corners=False, antialias=preprocess.antialias
            )[0]
        place[:, :rows, :columns] = source
    return batch, _sent(torch.tensor(sizes), device)


def _sent(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on the device, without waiting for it: CUDA copies behind the host's back from pinned memory alone."""
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
