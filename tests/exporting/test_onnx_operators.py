"""The whole operators' translations, run in both runtimes, beside torchvision's operators."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torchvision
from torch import Tensor, nn

from maskrcnn.exporting.onnx_operators import OPAQUE_OPERATORS, onnx_translations
from maskrcnn.exporting.quantize import disable_telemetry
from maskrcnn.model.pyramid import Pyramid, assign_levels
from maskrcnn.ops.nms import nms
from maskrcnn.ops.opaque_ops import has_opaque_operators, opaque_operator, use_opaque_operators
from maskrcnn.runtime.openvino_session import openvino_core


class Suppress(nn.Module):
    def forward(self, boxes: Tensor, valid: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        return nms(boxes, valid, 0.5, group), nms(boxes, valid, 0.5)


class Align(nn.Module):
    def __init__(self, sampling: int, aligned: bool) -> None:
        super().__init__()
        self.sampling, self.aligned = sampling, aligned

    def forward(self, fine: Tensor, coarse: Tensor, boxes: Tensor, image: Tensor) -> Tensor:
        return Pyramid.of([fine, coarse], (4, 8), self.sampling, self.aligned).roi_align(boxes, image, 7)


def run(module: nn.Module, path: Path, inputs: Sequence[Tensor]) -> list[list[np.ndarray]]:
    """The module's outputs in onnxruntime and in OpenVINO."""
    with use_opaque_operators(OPAQUE_OPERATORS), torch.no_grad():
        program = torch.export.export(module, tuple(inputs), strict=False)
    names = [f"in{number}" for number in range(len(inputs))]
    done = torch.onnx.export(
        program, opset_version=18, input_names=names, custom_translation_table=onnx_translations(), verbose=False
    )
    assert done is not None
    done.save(path, external_data=False)
    feeds = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    first = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)
    disable_telemetry()
    request = openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    request.infer(feeds)
    return [first, [np.array(request.get_output_tensor(place).data) for place in range(len(first))]]


def test_suppression_keeps_torchvisions_survivors(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    corner, size = torch.rand(2, 3, 90, 2, generator=generator) * torch.tensor([60.0, 25.0])[:, None, None, None]
    boxes = torch.cat((corner, corner + size), dim=-1)
    valid = torch.rand(3, 90, generator=generator) < 0.8
    valid[2] = False
    group = torch.randint(0, 4, (3, 90), generator=generator)
    grouped, alone = torch.zeros_like(valid), torch.zeros_like(valid)
    score = torch.arange(90, 0, -1).float()
    for row in range(3):
        rows = valid[row].nonzero().flatten()
        given = boxes[row][rows], score[rows]
        grouped[row, rows[torchvision.ops.batched_nms(*given, group[row][rows], 0.5)]] = True
        alone[row, rows[torchvision.ops.nms(*given, 0.5)]] = True
    assert 20 < alone.sum() < grouped.sum() < valid.sum()
    for found in run(Suppress(), tmp_path / "nms.onnx", (boxes, valid, group)):
        assert np.array_equal(found[0].astype(bool), grouped.numpy())
        assert np.array_equal(found[1].astype(bool), alone.numpy())


@pytest.mark.parametrize(("sampling", "aligned"), [(2, False), (2, True), (0, True)])
def test_roi_align_is_torchvisions_on_each_boxs_level(sampling: int, aligned: bool, tmp_path: Path) -> None:
    """Adaptive sampling, 0, is detectron2's."""
    generator = torch.Generator().manual_seed(1)
    levels = [torch.randn(2, 5, side, side, generator=generator) for side in (64, 32)]
    corner, size = torch.rand(2, 30, 2, generator=generator) * torch.tensor([150.0, 110.0])[:, None, None]
    # A threshold between the two levels lies at 112 pixels.
    size[:10] *= 2
    boxes = torch.cat((corner, corner + size), dim=-1)
    boxes[3] = torch.tensor([250.0, 250, 300, 300])
    image = torch.randint(0, 2, (30,), generator=generator)
    level = assign_levels(boxes, (4, 8))
    assert 0 < level.sum() < 30
    rois = torch.cat((image[:, None].float(), boxes), dim=1)
    each = [
        torchvision.ops.roi_align(features, rois, 7, 1 / stride, sampling or -1, aligned)
        for features, stride in zip(levels, (4, 8), strict=True)
    ]
    want = torch.where(level[:, None, None, None] == 0, each[0], each[1]).numpy()
    for found in run(Align(sampling, aligned), tmp_path / "roi.onnx", (*levels, boxes, image)):
        np.testing.assert_allclose(found[0], want, atol=2e-5)


def test_a_level_without_a_box_is_no_special_case(tmp_path: Path) -> None:
    levels = [torch.randn(1, 3, side, side) for side in (32, 16)]
    boxes, image = torch.tensor([[4.0, 4, 30, 40], [9.0, 1, 60, 20]]), torch.zeros(2, dtype=torch.long)
    rois = torch.cat((image[:, None].float(), boxes), dim=1)
    want = torchvision.ops.roi_align(levels[0], rois, 7, 0.25, 2).numpy()
    for found in run(Align(2, False), tmp_path / "roi.onnx", (*levels, boxes, image)):
        np.testing.assert_allclose(found[0], want, atol=2e-5)


def test_operators_are_kept_whole_only_within() -> None:
    assert opaque_operator("nms") is None
    with use_opaque_operators(OPAQUE_OPERATORS):
        assert opaque_operator("nms") is OPAQUE_OPERATORS["nms"]
        with ThreadPoolExecutor(1) as pool:  # which may predict meanwhile, or trace without them
            assert pool.submit(opaque_operator, "nms").result() is None
            assert pool.submit(has_opaque_operators).result() is False
    with pytest.raises(ValueError, match="stop"), use_opaque_operators(OPAQUE_OPERATORS):
        raise ValueError("stop")
    assert opaque_operator("nms") is None
