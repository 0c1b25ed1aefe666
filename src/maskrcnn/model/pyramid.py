"""The feature pyramid as the heads read it: each RoI from the level that fits its size (FPN, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from maskrcnn.model.roi_align import Maps, align_rois
from maskrcnn.ops.opaque_ops import opaque_operator


class Pyramid(NamedTuple):
    """Maps [B, F, H_l, W_l], finest first, and how RoIs are read from them."""

    levels: Sequence[Tensor]
    strides: Sequence[int]  # of the levels that RoIs are read from, the first ones
    table: Tensor  # [P, F], the cells of these levels in the order level, image, row, column
    image_size: tuple[int, int]  # (height, width) of the padded network input
    sampling: int  # sample points a bin and axis, see `maskrcnn.model.roi_align.roi_align`
    aligned: bool

    @classmethod
    def of(cls, levels: Sequence[Tensor], strides: Sequence[int], sampling: int = 2, aligned: bool = False) -> Pyramid:
        rows = [level.permute(0, 2, 3, 1).reshape(-1, level.shape[1]) for level in levels[: len(strides)]]
        height, width = levels[0].shape[2:]
        image_size = height * strides[0], width * strides[0]
        return cls(levels, strides, torch.cat(rows), image_size, sampling, aligned)

    def roi_align(self, boxes: Tensor, image_index: Tensor, bins: int) -> Tensor:
        """RoIAlign on the level that fits each RoI's size: all levels and images in one call.

        Args:
            boxes: float [R, 4], pixels of the padded input. Those whose result is not read may hold anything.
            image_index: int [R], the image each box belongs to.

        Returns:
            [R, F, bins, bins].
        """
        boxes = boxes.nan_to_num()
        levels, level = self.levels[: len(self.strides)], assign_levels(boxes, self.strides)
        if (operator := opaque_operator("roi align")) is not None:
            return operator(levels, self.strides, boxes, level, image_index, bins, self.sampling, self.aligned)
        origin, height, width = (torch.zeros_like(level) for _ in range(3))
        scale = torch.zeros_like(boxes[:, 0])
        start = 0
        for number, (features, stride) in enumerate(zip(levels, self.strides, strict=True)):
            images, _, rows, columns = features.shape
            here = level == number
            origin = torch.where(here, start + image_index * (rows * columns), origin)
            height, width = torch.where(here, rows, height), torch.where(here, columns, width)
            scale = torch.where(here, 1.0 / stride, scale)
            start = start + images * rows * columns
        maps = Maps(self.table, origin, height, width)
        return align_rois(maps, boxes * scale[:, None], bins, self.sampling, self.aligned, "avg")


def assign_levels(boxes: Tensor, strides: Sequence[int]) -> Tensor:
    """Level index [R] for boxes [R, 4] (FPN, equation 1): 224 pixels go to stride 16, half that to one finer."""
    size = ((boxes[:, 2] - boxes[:, 0]).clamp(min=0) * (boxes[:, 3] - boxes[:, 1]).clamp(min=0)).sqrt()
    level = torch.floor(torch.log2(size / 224 + 1e-30) + 1e-6) + (4 - (strides[0].bit_length() - 1))
    return level.clamp(0, len(strides) - 1).long()
