"""Anchors (Faster R-CNN, section 3.1.1): the boxes the RPN starts from, one size and several shapes on each level.

Frame: continuous pixels of the padded network input. Order: level, row, column, shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskrcnn.config import Config
from maskrcnn.setting_limits import check_levels


class Anchors(nn.Module):
    """Anchors for a pyramid whose coarsest levels follow stride 4, 8, 16, …"""

    shapes: Tensor  # [L, A, 4]

    def __init__(self, config: Config) -> None:
        super().__init__()
        levels = check_levels(config)
        self.strides = [4 * 2**level for level in range(levels)]
        self.rounding = config.anchor_rounding
        self.offset = 0.0 if self.rounding else config.anchor_offset
        shapes = torch.stack([self._shapes(size, config.anchor_ratios) for size in config.anchor_sizes])
        self.register_buffer("shapes", shapes, persistent=False)
        self.per_cell = len(config.anchor_ratios)

    def _shapes(self, size: float, ratios: Sequence[float]) -> Tensor:
        """Boxes [A, 4] of equal area around the origin, one for each height / width ratio."""
        half_height = torch.tensor(ratios).sqrt() * size / 2
        half_width = size / 2 / torch.tensor(ratios).sqrt()
        shapes = torch.stack((-half_width, -half_height, half_width, half_height), dim=1)
        return shapes.round() if self.rounding else shapes

    def levels(self, pyramid: Sequence[Tensor], image_size: Sequence[int]) -> list[Tensor]:
        """Anchors [H_l * W_l * A, 4] of each level, centred on the corners of its cells (torchvision's grid) or,
        without rounding, at ``anchor_offset`` in them. ``image_size`` is the padded input's (height, width).
        """
        anchors = []
        for features, shapes, stride in zip(pyramid, self.shapes, self.strides, strict=True):
            rows, columns = features.shape[-2:]
            step_y, step_x = stride, stride
            if self.rounding:
                # torchvision's coarsest stride follows from the sizes: 800 // 13 = 61 where the pyramid's is 64.
                step_y, step_x = image_size[0] // rows, image_size[1] // columns
            y = (torch.arange(rows, device=features.device, dtype=torch.float32) + self.offset) * step_y
            x = (torch.arange(columns, device=features.device, dtype=torch.float32) + self.offset) * step_x
            grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).repeat(1, 1, 2)
            anchors.append((grid[:, :, None] + shapes.float()).reshape(-1, 4))
        return anchors
