"""The predictor of exported models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.predictor_origin import Origin
from maskrcnn.runtime.artifact import Artifact
from maskrcnn.runtime.onnx_session import open_onnx
from maskrcnn.runtime.openvino_session import open_openvino

Opener = Callable[[Path, str, int | None], Artifact]
_OPENERS: dict[str, Opener] = {".onnx": open_onnx, ".xml": open_openvino}
SUFFIXES = tuple(_OPENERS)


class Runtime(ImagePredictor):
    """Predicts with one exported model; `predict` and `stream` are those of `maskrcnn.Predictor`.

    Args:
        model: the artifact.
        size: shortest edge of the network input in pixels; the model's own unless given.
    """

    def __init__(self, model: Artifact, size: int | None = None) -> None:
        super().__init__(model, size)
        self.model = model

    def __repr__(self) -> str:
        return f"Runtime({self.model!r})"


def load(path: str | Path, device: str = "auto", threads: int | None = None, size: int | None = None) -> Runtime:
    """A `Runtime` from an exported ``.onnx``, or from an OpenVINO ``.xml`` with its ``.bin`` beside it.

    Args:
        device: "auto", "cpu", or with onnxruntime-gpu "cuda".
        threads: cores to use; the runtime's own choice unless given.
        size: shortest edge of the network input in pixels; the model's own unless given.

    Raises:
        MaskRCNNError: the file is missing, damaged or no export of ours, or its runtime is not installed.
    """
    path = Path(path)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        what = f"expected an exported model, {' or '.join(SUFFIXES)}, found {path.suffix or 'no suffix'}"
        torch = path.suffix.lower() in (".pt2", ".safetensors", ".pth", ".pkl")
        raise MaskRCNNError(what, where=path, fix="maskrcnn.load takes it" if torch else "see `maskrcnn export --help`")
    if not path.is_file():
        raise MaskRCNNError("no such model file", where=path, fix="check the path")
    if threads is not None and threads < 1:
        raise MaskRCNNError(f"threads: expected 1 or more, found {threads}")
    file = path.absolute()
    files = (file, file.with_suffix(".bin")) if file.suffix.lower() == ".xml" else (file,)
    origin = Origin.of(load, *files, path=file, device=device, threads=threads, size=size)
    predictor = Runtime(opener(path, device, threads), size)
    predictor.origin = origin
    return predictor
