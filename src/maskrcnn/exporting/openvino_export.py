"""OpenVINO, converted from the ONNX form."""

from __future__ import annotations

import tempfile
from pathlib import Path

from maskrcnn.exporting import onnx_export
from maskrcnn.exporting.quantize import disable_telemetry, quantize
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime.artifact_contract import KEY, ArtifactMetadata
from maskrcnn.runtime.openvino_session import openvino_core


def write(model: MaskRCNN, path: Path, precision: str = "fp32", calibrate: Path | None = None) -> None:
    """Write the model to ``path`` (.xml) and its weights beside it (.bin).

    fp16 halves the file and leaves the precision of the arithmetic to the device; bf16 and int8 compute in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        onnx_export.write(model, source, precision)
        convert_onnx(source, model, path, precision, calibrate)


def convert_onnx(source: Path, model: MaskRCNN, path: Path, precision: str, calibrate: Path | None = None) -> None:
    """`write`, from the model's ONNX file ``source``; for bf16 one that is in bf16."""
    disable_telemetry()
    import openvino

    network = openvino_core().read_model(str(source))
    if precision == "int8":
        assert calibrate is not None
        network = quantize(network, model, calibrate)
    network.set_rt_info(ArtifactMetadata(model.names, model.config, precision).to_json(), KEY)
    openvino.save_model(network, str(path), compress_to_fp16=precision == "fp16")
