"""What is no model is told, and so is what is only slow."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.loading import load
from maskrcnn.inference.predictor import Predictor
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.weights.checkpoint import save_checkpoint
from maskrcnn.weights.load_report import LoadReport
from tests.threads import assert_equal

SMALL = {"backbone": "timm:test_efficientnet", "fpn_channels": 8, "box_hidden": (8,), "mask_convs": (8,)}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = MaskRCNN(preset("lite").replace(**SMALL, score_threshold=0.0), ["cat"])
    save_checkpoint(model, tmp_path / "m.safetensors", {}, torch.float32)
    return tmp_path / "m.safetensors"


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
    model = MaskRCNN(preset("lite").replace(**SMALL), ["cat"])
    told = "fp16 is 9 to 40 times slower than fp32 on a CPU"
    with pytest.warns(UserWarning, match=told):
        Predictor(model, "cpu", "fp16")
    for precision, lines in (("fp16", 1), ("bf16", 0), ("fp32", 0)):
        report = LoadReport("here")
        Predictor(model, "cpu", precision, report)
        assert sum(told in line for line in report.lines()) == lines


def test_a_predictor_of_a_file_is_pickled_as_where_it_came_from(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load(checkpoint, "cpu", "bf16", names=["dog"], config={"max_detections": 5}, size=96)
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    sent = pickle.dumps(predictor)
    assert len(sent) < 2000
    again = pickle.loads(sent)
    assert (again.names, again.dtype, again.preprocess.short) == (("dog",), torch.bfloat16, (96, 96))
    assert_equal(predictor.predict(image, 0.0), again.predict(image, 0.0))
    assert len(again.predict(image, 0.0)) == 5
    assert pickle.dumps(again) == sent
    # A relative path means the same file in a process that runs elsewhere.
    monkeypatch.chdir(checkpoint.parent)
    sent = pickle.dumps(load(checkpoint.name, "cpu"))
    monkeypatch.chdir("/")
    assert pickle.loads(sent).names == ("cat",)


def test_a_file_that_changed_or_went_is_not_taken_for_the_same(checkpoint: Path) -> None:
    predictor = load(checkpoint, "cpu")
    sent = pickle.dumps(predictor)
    os.utime(checkpoint, ns=(0, 10**18))
    for act in (lambda: pickle.loads(sent), lambda: pickle.dumps(predictor)):
        with pytest.raises(MaskRCNNError, match=r"m\.safetensors: the file changed since the model was loaded.*anew"):
            act()
    checkpoint.unlink()
    for act in (lambda: pickle.loads(sent), lambda: pickle.dumps(predictor)):
        with pytest.raises(MaskRCNNError, match=r"m\.safetensors: the model's file is not there"):
            act()


def test_a_predictor_without_a_file_cannot_be_pickled(checkpoint: Path) -> None:
    predictor = load(checkpoint, "cpu")
    assert isinstance(predictor, Predictor)
    with pytest.raises(MaskRCNNError, match=r"not loaded from a file cannot be pickled .*save the model"):
        pickle.dumps(Predictor(predictor.model, "cpu"))


def test_a_bundled_model_is_found_by_its_name_in_any_process() -> None:
    predictor = load("nuclei", "cpu")
    assert predictor.origin is not None
    assert (predictor.origin.arguments["source"], predictor.origin.files) == ("nuclei", {})
