"""A training batch: padded tensors with a validity mask, so that any mix of sizes and object counts is one shape."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """B images and their objects, padded to the largest. Boxes are pixels of the network input.

    A mask is a patch: the object's coverage of each cell of its frame, the whole pixels around its visible part, which
    the patch divides into equal cells. Boxes are tight around what is visible.
    """

    images: Tensor  # uint8, uint16 or float [B, channels, H, W], values as stored, filled from the top left
    sizes: Tensor  # int [B, 2] = (height, width) of each image within its padding
    boxes: Tensor  # float [B, G, 4]
    labels: Tensor  # int [B, G], 0..C-1
    valid: Tensor  # bool [B, G]
    frames: Tensor  # float [B, G, 4]
    patches: Tensor  # uint8 [B, G, P, P], coverage 0..255, filled from the top left
    patch_sizes: Tensor  # int [B, G, 2] = (rows, columns); 0 where the object has no mask
    crowd: Tensor  # float [B, Q, 4], regions that are neither object nor background; empty boxes pad
    seeds: Tensor  # int [B], from which the losses draw an image's anchors and RoIs

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Batch:
        return Batch(*(tensor.to(device, non_blocking=non_blocking) for tensor in self))
