"""A Mask R-CNN of 0.1 million parameters that finds objects everywhere, and its artifacts, each written once."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.modules.batchnorm import _BatchNorm

from maskrcnn.config import preset
from maskrcnn.exporting import exporter, openvino_export
from maskrcnn.exporting.export_formats import FORMATS
from maskrcnn.exporting.exporter import Request, export_model
from maskrcnn.exporting.parity_run import Trial
from maskrcnn.model.mask_rcnn import MaskRCNN

Exported = Callable[..., tuple[Path, Trial]]


@functools.cache
@torch.no_grad()
def _built() -> MaskRCNN:
    torch.manual_seed(0)
    settings = {
        "preprocess": {"short": (160, 160), "long": 256},
        "backbone": "timm:test_efficientnet",
        "fpn_channels": 16,
        "box_hidden": (32,),
        "mask_convs": (16,),
        "max_detections": 120,
    }
    model = MaskRCNN(preset("lite").replace(**settings), ["cat", "dog", "cow"]).eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2.0)
    model.rpn.logits.weight.normal_(std=0.3)
    model.rpn.deltas.weight.normal_(std=0.05)
    model.mask_head.logits.weight.normal_(std=0.3)
    seen: list[torch.Tensor] = []
    hook = model.box_head.logits.register_forward_hook(lambda module, given, logits: seen.append(logits))
    model.detect(torch.rand(1, 3, 160, 192) * 255, torch.tensor([[160, 192]]))
    hook.remove()
    std, mean = torch.std_mean(seen[0], dim=0)
    model.box_head.logits.weight.mul_(0.7 / std[:, None])
    model.box_head.logits.bias.copy_((model.box_head.logits.bias - mean) * 0.7 / std)
    return model


@pytest.fixture(scope="session")
def model() -> MaskRCNN:
    """Finds over 100 objects in any picture."""
    return copy.deepcopy(_built())


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four images."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((192, 160), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def exported(model: MaskRCNN, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Format and precision → the artifact and its trial. Tracing takes its time: OpenVINO's fp32 forms share ONNX's."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def make(name: str, precision: str = "fp32") -> tuple[Path, Trial]:
        out = folder / f"{name}-{precision}{FORMATS[name].suffix}"
        calibrate = pictures if precision == "int8" else None
        request = Request("tiny", name, out, precision, calibrate, force=True)
        if name != "openvino" or precision == "bf16":
            return out, export_model(model, request)
        openvino_export.convert_onnx(make("onnx")[0], model, out, precision, calibrate)
        return out, exporter.try_artifact(model, request, FORMATS[name], out)

    return make
