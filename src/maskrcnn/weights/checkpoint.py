"""Our weight file: safetensors with all that is needed to use it in its metadata.

Metadata, as JSON: ``names`` (classes), ``config`` (architecture, thresholds, preprocessing) and ``provenance`` (data,
recipe, measured AP, licence). The file holds no code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskrcnn.config import Config, from_dict, to_dict
from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.json_yaml import parse_json, shown
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.output.atomic_file import make_folder
from maskrcnn.weights.class_names import check_class_names
from maskrcnn.weights.safetensors_file import read_metadata, read_safetensors, write_tensors
from maskrcnn.weights.weight_file import check_numbers

FORMAT = "maskrcnn-1"
_METADATA_KEYS = {"names", "config", "provenance"}  # beside the format
MAX_METADATA = 2**24  # characters of one of them


class Checkpoint(NamedTuple):
    """A model's parameters, class names, settings and origin."""

    state: dict[str, Tensor]
    names: tuple[str, ...]
    config: Config
    provenance: dict[str, Any]


def save_checkpoint(
    model: MaskRCNN, path: str | Path, provenance: dict[str, Any] | None = None, dtype: torch.dtype | None = None
) -> None:
    """Write the model to ``path`` (.safetensors), its floating-point parameters as ``dtype`` if given. Atomic.

    Raises:
        MaskRCNNError: it cannot be written.
    """
    path = Path(path)
    state = {
        key: value.detach().cpu().to(dtype if dtype and value.is_floating_point() else value.dtype).contiguous()
        for key, value in model.state_dict().items()
    }
    metadata = {
        "format": FORMAT,
        "names": json.dumps(model.names),
        "config": json.dumps(to_dict(model.config)),
        "provenance": json.dumps(provenance or {}),
    }
    make_folder(path.parent)
    write_tensors(path, state, metadata)


def is_own_checkpoint(path: Path) -> bool:
    """Whether a .safetensors carries our metadata, of whatever version. Raises `MaskRCNNError` when it is broken."""
    metadata = read_metadata(path)
    return metadata.get("format", "").startswith("maskrcnn") or not _METADATA_KEYS.isdisjoint(metadata)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read our .safetensors.

    Raises:
        MaskRCNNError: it is broken, not ours, or its metadata is invalid.
    """
    path = Path(path)
    metadata = read_metadata(path)
    if metadata.get("format") != FORMAT:
        what = f"expected a checkpoint of format {FORMAT}, found metadata {shown(sorted(metadata))}"
        raise MaskRCNNError(what, where=path, fix="use a .safetensors written by maskrcnn, or a torchvision .pth")
    parts: dict[str, Any] = {}
    with errors_at(path, "not a readable checkpoint: "):
        for name, kind in (("names", list), ("config", dict), ("provenance", dict)):
            text = metadata.get(name, "")
            if len(text) > MAX_METADATA:
                raise MaskRCNNError(f"{name} has {len(text):,} characters")
            try:
                parts[name] = parse_json(text)
            except MaskRCNNError as error:
                raise MaskRCNNError(f"{name}: {error.what}", fix="copy the file again") from None
            if not isinstance(parts[name], kind):
                raise MaskRCNNError(f"{name} is {shown(parts[name])}", fix="copy the file again")
        names = check_class_names(parts["names"])
        config = from_dict(parts["config"])
    state = read_safetensors(path)
    check_numbers(state, path)
    return Checkpoint(state, names, config, parts["provenance"])
