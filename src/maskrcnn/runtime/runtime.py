"""The predictor of exported models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.predict.image_predictor import Found, ImagePredictor
from maskrcnn.runtime.artifact import Artifact
from maskrcnn.runtime.onnx_session import open_onnx
from maskrcnn.runtime.openvino_session import open_openvino

Opener = Callable[[Path, str, int | None], Artifact]
_OPENERS: dict[str, Opener] = {".onnx": open_onnx, ".xml": open_openvino}
SUFFIXES = tuple(_OPENERS)


class Runtime(ImagePredictor):
    """Predicts with one exported model; `predict` and `stream` are those of `maskrcnn.Predictor`.

    Args:
        model: the artifact. Its settings are followed image by image.
    """

    model: Artifact

    def __init__(self, model: Artifact) -> None:
        self.model = model

    def detect(self, images: Sequence[np.ndarray], score: float = 0.0) -> tuple[Found, list[list[int]]]:
        """Detections in pixels of the network input, and each image's (height, width) there.

        Args:
            images: uint8 [H, W, 3] each, or whatever channels the model takes.
            score: lowest score asked for.
        """
        return self.model.detect(images, score)

    def _detect(self, images: Sequence[np.ndarray], score: float) -> _Done:
        return _Done(self.model.detect(images, score))

    def __repr__(self) -> str:
        return f"Runtime({self.model!r})"


@dataclass
class _Done:
    """Detections that were waited for: runtimes on a CPU have nothing else to do."""

    found: tuple[Found, list[list[int]]]

    def arrays(self) -> tuple[Found, list[list[int]]]:
        return self.found


def load(path: str | Path, device: str = "auto", threads: int | None = None) -> Runtime:
    """A `Runtime` from an exported ``.onnx``, or from an OpenVINO ``.xml`` with its ``.bin`` beside it.

    Args:
        device: "auto", "cpu", or with onnxruntime-gpu "cuda".
        threads: cores to use; the runtime's own choice unless given.

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
    return Runtime(opener(path, device, threads))
