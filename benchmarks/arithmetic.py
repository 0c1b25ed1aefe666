"""The multiply-adds of a Mask R-CNN, stage by stage, and what they would take at a machine's measured ceiling."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskrcnn.config import Config
from maskrcnn.model.mask_rcnn import MaskRCNN


def multiply_adds(config: Config, height: int, width: int, proposals: int, detections: int) -> dict[str, int]:
    """Stage → multiply-adds of one image, counted on tensors without storage; plain arithmetic, no Winograd."""
    with torch.device("meta"):
        model = MaskRCNN(config, [str(number) for number in range(90)]).eval()
        image = torch.zeros(1, config.preprocess.channels, height, width)
        boxes = torch.zeros(proposals, config.fpn_channels, config.box_bins, config.box_bins)
        found = torch.zeros(detections, config.fpn_channels, config.mask_bins, config.mask_bins)
    labels = torch.zeros(detections, dtype=torch.long, device="meta")
    maps = model.backbone(image)
    levels = model.fpn(maps)
    stages: dict[str, Callable[[], object]] = {
        "backbone": lambda: model.backbone(image),
        "FPN": lambda: model.fpn(maps),
        "RPN": lambda: [(model.rpn.logits(model.rpn.convs(x)), model.rpn.deltas(x)) for x in levels],
        "box head": lambda: model.box_head(boxes),
        "mask head": lambda: model.mask_head.of_class(found, labels),
    }
    counted = {}
    for name, run in stages.items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            run()
        counted[name] = counter.get_total_flops() // 2
    return counted


def ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Multiply-adds a second of the convolution that is most of a Mask R-CNN: 3×3, 256 → 256 channels."""
    x = torch.randn(1, 256, 100, 136, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    conv = torch.nn.Conv2d(256, 256, 3, padding=1, bias=False).to(device, dtype).to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for _ in range(12):
            synchronize(device)
            start = time.perf_counter()
            for _ in range(10 if device.type == "cuda" else 1):
                conv(x)
            synchronize(device)
            times.append((time.perf_counter() - start) / (10 if device.type == "cuda" else 1))
    return 256 * 256 * 9 * 100 * 136 / min(times)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
