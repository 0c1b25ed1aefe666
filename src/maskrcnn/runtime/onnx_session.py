"""ONNX files in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.runtime.artifact import Artifact, as_file_error
from maskrcnn.runtime.artifact_contract import KEY, OUTPUTS
from maskrcnn.runtime.onnx_external_data import names_other_files

_FATAL_ONLY = 4  # errors are raised
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


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
        what = "an .onnx file needs onnxruntime, which is not installed"
        raise MaskRCNNError(what, where=path, fix='pip install onnxruntime, or "maskrcnn[onnx]"') from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    providers = _providers(device, onnxruntime)
    with as_file_error(path, "ONNX file"):
        if names_other_files(path):
            what = "keeps tensors in other files, which are not read: a model could have any file of this machine read"
            name = repr(path.name)
            fix = f"make it one file: onnx.save(onnx.load({name}), {name}, save_as_external_data=False)"
            raise MaskRCNNError(what, where=path, fix=fix)
        # From the CPU there is nothing to fall back to: onnxruntime would print its error, and fail all the same.
        fallback = int(providers != [_CPU])
        opened = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=fallback)
        session = OnnxSession(opened, onnxruntime.__version__)
        metadata = opened.get_modelmeta().custom_metadata_map.get(KEY)
    return Artifact(session, metadata, path)


def _providers(device: str, onnxruntime: Any) -> list[str]:
    name = device.partition(":")[0]
    if name not in ("auto", "cpu", "cuda"):
        raise MaskRCNNError(f"onnxruntime runs on auto, cpu or cuda, found device {device!r}", fix="use device auto")
    has_cuda = _CUDA in onnxruntime.get_available_providers()
    if name == "cuda" and not has_cuda:
        fix = "pip install onnxruntime-gpu, or use device cpu"
        raise MaskRCNNError("this onnxruntime cannot use CUDA", fix=fix)
    return [_CUDA, _CPU] if has_cuda and name != "cpu" else [_CPU]
