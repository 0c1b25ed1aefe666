"""What is no model is told, and so is what is only slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.loading import load
from maskrcnn.inference.predictor import Predictor
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.load_report import LoadReport


@pytest.mark.parametrize("source", [None, 5, b"coco", ["coco"]])
def test_a_source_that_is_none(source: object) -> None:
    with pytest.raises(MaskRCNNError, match="expected a model's name or path"):
        load(source)  # type: ignore[arg-type]


def test_a_predictor_of_no_model() -> None:
    with pytest.raises(MaskRCNNError, match="expected a MaskRCNN, found 'coco'"):
        Predictor("coco")  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"names": ["a"]}, {"config": "ours.yaml"}])
def test_an_exported_model_takes_no_other_names_or_settings(changes: dict) -> None:
    with pytest.raises(MaskRCNNError, match=r"m\.onnx: an exported model has its own names and settings"):
        load(Path("m.onnx"), **changes)


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
