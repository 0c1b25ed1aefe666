"""How far RoIPool's rounding moves features, and that RoIAlign does not: a RoI slides over a plane f(x) = x.

On that plane the mean over a RoI's bins is the x of its centre, so what the operator returns is where it thinks the RoI
lies. Run: python docs/roi_pool_demo.py
"""

from __future__ import annotations

import torch

from maskrcnn.model.roi_align import roi_align, roi_pool

STRIDE = 16
SIDE = 112.0


def centres(start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """True, RoIAlign's and RoIPool's centre, in image pixels, of square RoIs that begin at x = start [R]."""
    plane = torch.arange(40.0).expand(1, 1, 40, 40)
    boxes = torch.stack((start, torch.full_like(start, 64), start + SIDE, torch.full_like(start, 64 + SIDE)), dim=1)
    image = torch.zeros(len(start), dtype=torch.long)
    align = roi_align(plane, boxes, image, 7, 1 / STRIDE, sampling=2, aligned=True).mean((1, 2, 3))
    # A maximum reads a bin's last cell and, of the negated plane, its first: their mean is the bin's middle.
    last, first = (roi_pool(sign * plane, boxes, image, 7, 1 / STRIDE).mean((1, 2, 3)) * sign for sign in (1, -1))
    return start + SIDE / 2, (align + 0.5) * STRIDE, ((last + first) / 2 + 0.5) * STRIDE


if __name__ == "__main__":
    start = torch.arange(64.0, 81.0, 2.0)
    print("true centre  RoIAlign  RoIPool   RoIPool's error (image pixels, stride 16)")
    for true, align, pool in zip(*centres(start), strict=True):
        print(f"{true:10.1f}  {align:8.2f}  {pool:7.2f}  {pool - true:+7.2f}")
