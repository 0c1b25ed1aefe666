"""The content of a weight file of any library: tensors by name, and what was saved beside them. No code is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.text import first_line
from maskrcnn.weights.safetensors_file import MAX_TENSORS, read_safetensors
from maskrcnn.weights.state_dict import find_state_dict
from maskrcnn.weights.torch_archive import Stored, Unreadable, read_torch_file

# Most bytes of expanded tensors in memory: a repeated number takes no space in the file.
MAX_EXPANDED = 2**30
_NUMBERS = (".weight", ".bias", ".running_mean", ".running_var")


class WeightFile(NamedTuple):
    """A state dict and the rest of the file."""

    state: dict[str, Tensor]
    rest: dict[str, Any]
    notes: list[str]  # where the state was found, and whether it holds NaN


def read_weight_file(path: Path) -> WeightFile:
    """The content of a .pkl (a pickle of numpy arrays, as detectron2 publishes), a .safetensors or a file of torch.

    Raises:
        MaskRCNNError: the file is broken, names code to run, or holds no state dict of plain numbers.
    """
    if path.suffix.lower() in (".h5", ".hdf5", ".keras"):
        what = "a Keras checkpoint, such as those of Matterport's Mask R-CNN, which is not supported"
        fix = "train on the same data: maskrcnn train DATA --init coco; see docs/migrate/matterport.md"
        raise MaskRCNNError(what, where=path, fix=fix)
    if path.suffix.lower() in (".onnx", ".xml", ".pt2"):
        what = "expected a checkpoint, found an exported model"
        raise MaskRCNNError(what, where=path, fix="name the checkpoint it was exported from")
    content = read_safetensors(path, "weight file") if path.suffix.lower() == ".safetensors" else read_torch_file(path)
    if isinstance(content, dict) and isinstance(content.get("blobs"), dict):
        what = "a checkpoint of the first Detectron (Caffe2; parameters under 'blobs'), which is not supported"
        fix = "load it in detectron2 and save it there: DetectionCheckpointer(model, folder).save('model')"
        raise MaskRCNNError(what, where=path, fix=fix)
    found = find_state_dict(content)
    if found is None:
        raise MaskRCNNError("expected a state dict of tensors", where=path, fix="save model.state_dict()")
    check_numbers(found.state, path)
    try:
        state = {key: _as_tensor(value) for key, value in found.state.items()}
    except (ValueError, RuntimeError) as error:
        what = f"not a readable weight file: {first_line(error)}"
        raise MaskRCNNError(what, where=path, fix="copy it again") from None
    rest = {key: value for key, value in content.items() if isinstance(key, str)} if isinstance(content, dict) else {}
    return WeightFile(state, rest, [*found.notes(), *_divergence_note(state)])


def check_numbers(state: dict[str, Any], path: Path) -> None:
    """Raise `MaskRCNNError`, before any is read, for tensors that are not plain numbers or too large when expanded."""
    if len(state) > MAX_TENSORS:
        raise MaskRCNNError(f"expected at most {MAX_TENSORS:,} parameters, found {len(state):,}", where=path)
    fix = "save the parameters as plain tensors in fp32: {name: value.float().cpu().contiguous()}"
    expanded = 0
    for key, value in state.items():
        if isinstance(value, Unreadable):
            raise MaskRCNNError(f"parameter {shown(key)} is {value.what}, expected plain numbers", where=path, fix=fix)
        if key.endswith(_NUMBERS) and not _is_floating(value):
            kind = str(value.dtype).removeprefix("torch.")
            raise MaskRCNNError(f"parameter {shown(key)}: expected fp32, found {kind}", where=path, fix=fix)
        if isinstance(value, Stored) and value.expanded:
            expanded += value.count * value.dtype.itemsize
    size = path.stat().st_size
    if expanded > max(MAX_EXPANDED, 2 * size):
        what = f"its parameters expand to {expanded / 2**30:,.1f} GiB in a file of {size / 2**20:,.1f} MiB"
        raise MaskRCNNError(what, where=path, fix=fix)


def _is_floating(value: Any) -> bool:
    if isinstance(value, Tensor | Stored):
        return value.dtype.is_floating_point
    return np.issubdtype(value.dtype, np.floating)


def _divergence_note(state: dict[str, Tensor]) -> list[str]:
    floating = ((key, value) for key, value in state.items() if value.is_floating_point())
    wide = ((key, value.float() if value.dtype.itemsize == 1 else value) for key, value in floating)  # for fp8
    broken = [key for key, value in wide if not value.isfinite().all()]
    if not broken:
        return []
    return [f"{len(broken)} of {len(state)} parameters hold NaN or infinity, {broken[0]} first: training diverged"]


def _as_tensor(value: Any) -> Tensor:
    if isinstance(value, Stored):
        return value.tensor()
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        # torch takes neither foreign byte orders nor read-only memory.
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C", copy=True))
    assert isinstance(value, Tensor)
    return value
