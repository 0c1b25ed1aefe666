"""OpenVINO, converted from the ONNX form."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from maskrcnn.export.metadata import KEY, metadata
from maskrcnn.export.onnx_file import write_program
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime.openvino_session import openvino_core


def silence() -> None:
    """Keep OpenVINO's tools from reporting to anyone: they go without the package by which they would.

    To be called before they are imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def write(model: MaskRCNN, path: Path, precision: str = "fp32", calibrate: Path | None = None) -> None:
    """Write the model to ``path`` (.xml) and its weights beside it (.bin).

    fp16 halves the file and leaves the precision of the arithmetic to the device; bf16 and int8 compute in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        write_program(model, source, dtype, metadata(model, precision))
        convert(source, model, path, precision, calibrate)


def convert(source: Path, model: MaskRCNN, path: Path, precision: str, calibrate: Path | None = None) -> None:
    """`write` from the model's ONNX form, which for bf16 is in bf16 already."""
    silence()
    import openvino

    network = openvino_core().read_model(str(source))
    if precision == "int8":
        from maskrcnn.export.quantize import quantize

        assert calibrate is not None
        network = quantize(network, model, calibrate)
    network.set_rt_info(metadata(model, precision), KEY)
    openvino.save_model(network, str(path), compress_to_fp16=precision == "fp16")
