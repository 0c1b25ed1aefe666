"""ONNX files in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.runtime.artifact import KEY, OUTPUTS, Artifact

_ERRORS_ONLY = 3


class OnnxSession:
    """A `Session` of onnxruntime. May be used from several threads at once."""

    smallest = 1

    def __init__(self, session: Any, version: str) -> None:
        self.runtime = f"onnxruntime {version}"
        self.inputs = [port.name for port in session.get_inputs()]
        self.outputs = [port.name for port in session.get_outputs()]
        shape = next((port.shape for port in session.get_inputs() if port.name == "images"), [None] * 4)
        self.shape: tuple[int | None, ...] = tuple(edge if isinstance(edge, int) else None for edge in shape)
        self._session = session

    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        found: list[np.ndarray] = self._session.run(list(OUTPUTS), dict(feeds))
        return found


def open_onnx(path: Path, device: str = "auto", threads: int | None = None) -> Artifact:
    """The artifact in an .onnx file. Raises `MaskRCNNError` as `maskrcnn.runtime.load` does."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MaskRCNNError(
            "an .onnx file needs onnxruntime, which is not installed",
            where=path,
            fix='pip install onnxruntime, or "maskrcnn[onnx]"',
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=_providers(device, onnxruntime))
    except MaskRCNNError:
        raise
    except Exception as error:  # onnxruntime's own classes are many and not public
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise MaskRCNNError(
            f"truncated, damaged or no ONNX file: {reason}",
            where=path,
            fix="copy it again, with any .data file beside it",
        ) from error
    metadata = session.get_modelmeta().custom_metadata_map.get(KEY)
    return Artifact(OnnxSession(session, onnxruntime.__version__), metadata, path)


def _providers(device: str, onnxruntime: Any) -> list[str]:
    name, cpu, cuda = device.partition(":")[0], "CPUExecutionProvider", "CUDAExecutionProvider"
    if name not in ("auto", "cpu", "cuda"):
        raise MaskRCNNError(f"onnxruntime runs on auto, cpu or cuda, found device {device!r}", fix="use --device auto")
    there = cuda in onnxruntime.get_available_providers()
    if name == "cuda" and not there:
        fix = "pip install onnxruntime-gpu, or use --device cpu"
        raise MaskRCNNError("this onnxruntime cannot use CUDA", fix=fix)
    return [cuda, cpu] if there and name != "cpu" else [cpu]
