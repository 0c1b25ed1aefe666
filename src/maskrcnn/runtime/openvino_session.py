"""OpenVINO models, an .xml with its .bin, on the CPU."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.runtime.artifact import Artifact, as_file_error
from maskrcnn.runtime.artifact_contract import INPUTS, KEY, OUTPUTS

# By default OpenVINO computes in bf16 where the CPU has it, which moves boxes. With f32 each layer keeps the type that
# the graph gives it.
SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}

_opening = threading.Lock()


def openvino_core() -> Any:
    """This process's only Core, which is never released. Raises `ImportError` without openvino.

    A Core's CPU plugin sets the thread's signal stack and restores the previous one when it is released. If the plugin
    that set the previous one was released before, the next Ctrl-C is a segmentation fault.
    """
    with _opening:
        return _core()


@functools.cache
def _core() -> Any:
    import openvino

    core = openvino.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin, before that of any other Core
    return core


class OpenVINOSession:
    """A `Session` of OpenVINO. Calls from several threads take turns: one request uses all cores."""

    smallest = 1

    def __init__(self, model: Any, version: str) -> None:
        self.runtime = f"openvino {version}"
        self.inputs = [_name(port) for port in model.inputs]
        self.outputs = [_name(port) for port in model.outputs]
        shapes = [port.get_partial_shape() for port in model.inputs if "images" in port.get_names()]
        edges = shapes[0] if shapes and shapes[0].rank.is_static else []
        self.shape: tuple[int | None, ...] = (
            tuple(edge.get_length() if edge.is_static else None for edge in edges) or (None,) * 4
        )
        self._model, self._lock = model, threading.Lock()
        self._request: Any = None

    def compile(self, core: Any, settings: Mapping[str, Any]) -> None:
        """Make it ready to run."""
        self._request = core.compile_model(self._model, "CPU", dict(settings)).create_infer_request()

    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        with self._lock:
            self._request.infer(dict(feeds))
            return [np.array(self._request.get_tensor(name).data) for name in OUTPUTS]


def open_openvino(path: Path, device: str = "auto", threads: int | None = None) -> Artifact:
    """The artifact in an .xml file. Raises `MaskRCNNError` as `maskrcnn.runtime.load` does."""
    if device not in ("auto", "cpu"):
        raise MaskRCNNError(f"OpenVINO models run on the CPU here, found device {device!r}", fix="use device auto")
    try:
        import openvino

        core = openvino_core()
    except ImportError as error:
        what = "an OpenVINO .xml needs openvino, which is not installed"
        raise MaskRCNNError(what, where=path, fix='pip install openvino, or "maskrcnn[openvino]"') from error
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise MaskRCNNError(f"no {weights.name} beside it, which holds the weights", where=path, fix="copy both files")
    settings: dict[str, Any] = dict(SETTINGS)
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    with as_file_error(path, "OpenVINO model", "copy the .xml and the .bin again", last_line=True):
        model = _read(path)
        session = OpenVINOSession(model, openvino.__version__.partition("-")[0])
        metadata = str(model.get_rt_info(KEY).value) if model.has_rt_info(KEY) else None
        artifact = Artifact(session, metadata, path)
        session.compile(core, settings)
    return artifact


def _read(path: Path) -> Any:
    """The graph of an .xml, and of nothing else: a Core would read an ONNX or TensorFlow model of that name too."""
    from openvino.frontend import FrontEndManager

    reader = FrontEndManager().load_by_framework("ir")
    return reader.convert(reader.load(str(path)))


def _name(port: Any) -> str:
    """One of the port's names; of ours if it has one."""
    names = sorted(port.get_names())
    return next((name for name in names if name in (*INPUTS, *OUTPUTS)), names[0] if names else "?")
