"""What is no model, no device and no precision is told, and so is what is only slow."""

from __future__ import annotations

import pytest
import torch

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.predictor import Predictor, load, pick_device, pick_precision
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.load_report import LoadReport


@pytest.mark.parametrize(
    "name",
    ["meta", "xla", "vulkan", "hpu", "xpu", "cpu:1", "cpu:-1", "cuda:x", "CPU", "gpu", "", "cuda:0 ", None, 0, ["cpu"]],
)
def test_devices_that_are_none(name: object) -> None:
    with pytest.raises(MaskRCNNError, match=r"unknown device .*use auto, cpu, cuda"):
        pick_device(name)  # type: ignore[arg-type]
    with pytest.raises(MaskRCNNError, match="cuda:999' is not there"):
        pick_device("cuda:999")
    assert pick_device("cpu") == pick_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["fp8", "", None, 16, ["fp32"], torch.float32])
def test_precisions_that_are_none(name: object) -> None:
    with pytest.raises(MaskRCNNError, match="unknown precision"):
        pick_precision(name, torch.device("cpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [None, 5, b"coco", ["coco"]])
def test_a_source_that_is_none(source: object) -> None:
    with pytest.raises(MaskRCNNError, match="expected a model's name or path"):
        load(source)  # type: ignore[arg-type]


def test_a_predictor_of_no_model() -> None:
    with pytest.raises(MaskRCNNError, match="expected a MaskRCNN, found 'coco'"):
        Predictor("coco")  # type: ignore[arg-type]


def test_fp16_on_a_cpu_is_told_to_be_slow() -> None:
    small = {"backbone": "timm:test_efficientnet", "fpn_channels": 8, "box_hidden": (8,), "mask_convs": (8,)}
    model = MaskRCNN(preset("lite").replace(**small), ["cat"])
    told = "fp16 is 9 to 40 times slower than fp32 on a CPU"
    with pytest.warns(UserWarning, match=told):
        Predictor(model, "cpu", "fp16")
    for precision, lines in (("fp16", 1), ("bf16", 0), ("fp32", 0)):
        report = LoadReport("here")
        Predictor(model, "cpu", precision, report)
        assert sum(told in line for line in report.lines()) == lines
