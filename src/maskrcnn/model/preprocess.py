"""From images of any size to one padded batch, and to normalised network input.

`maskrcnn.runtime.resize` resizes and pads in the same way with numpy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from maskrcnn.config import Preprocess
from maskrcnn.images.block_mean import shrink_by_blocks
from maskrcnn.images.input_size import padded_size, resized_size

_MAX_VALUES_AT_ONCE = 2**26  # values of an image


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
    for padded, image, (rows, columns) in zip(batch, images, sizes, strict=True):
        if image.shape[1:] != (rows, columns):
            image = _resize(image, (rows, columns), preprocess, device)
        padded[:, :rows, :columns] = _to_device(image, device)
    return batch, _to_device(torch.tensor(sizes), device)


class Normalise(nn.Module):
    """Values as stored [B, C, H, W] → (value / full scale - mean) / std for each channel, 0 in the padding."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.full_scale = preprocess.full_scale
        self.register_buffer("mean", torch.tensor(preprocess.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(preprocess.std)[:, None, None], persistent=False)

    def forward(self, images: Tensor, sizes: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        row = torch.arange(height, device=images.device)[:, None] < sizes[:, 0, None, None]
        column = torch.arange(width, device=images.device) < sizes[:, 1, None, None]
        return (images.float() / self.full_scale - self.mean) / self.std * (row & column)[:, None]


def _resize(image: Tensor, size: tuple[int, int], preprocess: Preprocess, device: torch.device | str) -> Tensor:
    if preprocess.whole_values and preprocess.antialias and image.dtype == torch.uint8:
        # Pillow rounds after each of its two passes; one pixel in seven is another without.
        planes = [Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR) for plane in image.cpu().numpy()]
        return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))
    if preprocess.antialias and max(old // new for old, new in zip(image.shape[1:], size, strict=True)) >= 64:
        image = torch.from_numpy(shrink_by_blocks(image.permute(1, 2, 0).cpu().numpy(), size)).permute(2, 0, 1)
    # In floats a large image takes four times its bytes: channel by channel.
    parts = image.split(1) if image.numel() > _MAX_VALUES_AT_ONCE else (image,)
    resized = torch.cat([_interpolate(_to_device(part, device), size, preprocess.antialias) for part in parts])
    return resized.round() if preprocess.whole_values else resized


def _interpolate(planes: Tensor, size: tuple[int, int], antialias: bool) -> Tensor:
    if size[1] == 1 < size[0]:
        # torch gives wrong values for a width of one pixel, and right ones for such a height.
        turned = planes.transpose(1, 2).contiguous()
        return _interpolate(turned, (1, size[0]), antialias).transpose(1, 2)
    return F.interpolate(planes.float()[None], size, mode="bilinear", align_corners=False, antialias=antialias)[0]


def _to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on the device, copied asynchronously to CUDA, which takes pinned memory."""
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
