"""What a weight file of any library holds: tensors by name, and what was saved beside them. Nothing in it is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.weights.restricted_pickle import read_pickle


class Contents(NamedTuple):
    """A state dict and the rest of the file."""

    state: dict[str, Tensor]
    rest: dict[str, Any]


def read_contents(path: Path) -> Contents:
    """The contents of a .pkl (a pickle of numpy arrays, as detectron2 publishes), a .safetensors or a file of torch's.

    Raises:
        MaskRCNNError: the file is broken, holds more than arrays and plain containers, or no state dict.
    """
    if path.suffix.lower() in (".h5", ".hdf5", ".keras"):
        raise MaskRCNNError(
            "a Keras checkpoint, such as those of Matterport's Mask R-CNN, which is not supported",
            where=path,
            fix="train on the same data: maskrcnn train DATA --init coco; see docs/migrate/matterport.md",
        )
    if path.suffix.lower() == ".safetensors":
        try:
            return Contents(load_file(path), {})
        except (SafetensorError, OSError) as error:
            raise MaskRCNNError(f"not a readable weight file: {error}", where=path, fix="copy it again") from None
    content = read_pickle(path) if path.suffix.lower() in (".pkl", ".pickle") else _read_torch_file(path)
    rest: dict[str, Any] = {}
    if isinstance(content, dict) and isinstance(content.get("blobs"), dict):
        raise MaskRCNNError(
            "a checkpoint of the first Detectron (Caffe2; parameters under 'blobs'), which is not supported",
            where=path,
            fix="load it in detectron2 and save it there: DetectionCheckpointer(model, folder).save('model')",
        )
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            rest = {name: value for name, value in content.items() if name != key}
            content = content[key]
    plain = isinstance(content, dict) and all(isinstance(key, str) for key in content)
    if plain:
        content = {key.removeprefix("module."): _as_tensor(value) for key, value in content.items()}
    if not plain or not all(isinstance(value, Tensor) for value in content.values()):
        raise MaskRCNNError("expected a state dict of tensors", where=path, fix="save model.state_dict()")
    return Contents(content, rest)


def read_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, read without running anything it contains."""
    return read_contents(path).state


def _as_tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        # torch takes neither foreign byte orders nor memory that may not be written to.
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C", copy=True))
    return value


def _read_torch_file(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is no weight file makes the unpickler trip over
        # torch's own text goes on to advise loading it unsafely.
        text = str(error)
        named = re.search(r"(?:GLOBAL|Unsupported (?:class|global):?(?: GLOBAL)?) ([\w.]+)", text)
        reason = text.split(". ")[0].splitlines()[0] if text else ""
        reason = type(error).__name__ if "weights_only" in reason or not reason else reason
    fix = "save it as a plain state dict"
    if named:
        reason = f"it holds {named[1]}, which is neither a tensor nor a plain container"
        fix = (
            "where it was trained, save the parameters alone: torch.save({'state_dict': model.state_dict()}, "
            "'plain.pth'); for mmdetection, tools/model_converters/publish_model.py does"
        )
    raise MaskRCNNError(f"not a weight file that can be read safely: {reason}", where=path, fix=fix) from None
