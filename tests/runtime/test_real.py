"""A network of ours, exported: images in, the same results as from PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import maskrcnn
from maskrcnn.config import preset
from maskrcnn.exporting.onnx_export import write
from maskrcnn.inference.predictor import Predictor
from maskrcnn.model.mask_rcnn import MaskRCNN


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, Path]:
    torch.manual_seed(0)
    config = preset("lite").replace(
        backbone="resnet18", preprocess={"short": (96, 128), "long": 192}, fpn_channels=16, box_hidden=(32,),
        mask_convs=(16,), max_detections=7, score_threshold=0.0, anchor_sizes=(8, 16, 32, 64, 128),
        rpn_before_nms=(50, 50), proposals=(60, 60),
    )  # fmt: skip
    model = MaskRCNN(config, ("a", "b")).eval()
    path = tmp_path_factory.mktemp("real") / "model.onnx"
    write(model, path)
    return Predictor(model, "cpu", "fp32"), path


@pytest.mark.parametrize("size", [(120, 160), (33, 33), (1, 1), (400, 90)])
def test_the_same_objects(models: tuple[Predictor, Path], size: tuple[int, int]) -> None:
    eager, path = models
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    wanted, found = eager.predict(image, 0.0), maskrcnn.load(path).predict(image, 0.0)
    assert len(found) == len(wanted) > 0
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=0.05)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-3)
    assert found.masks.probs is not None
    assert wanted.masks.probs is not None
    np.testing.assert_allclose(found.masks.probs, wanted.masks.probs, atol=1e-3)
    assert (found.masks.dense() == wanted.masks.dense()).mean() > 0.999
    assert maskrcnn.load(path).predict(image, 1.0).to_coco(1) == []
