"""Our weight file: safetensors, whose metadata carries all that is needed to use it.

Metadata, as JSON: ``names`` (classes), ``config`` (architecture, thresholds, preprocessing) and ``provenance`` (data,
recipe, measured AP, licence). Nothing in the file can run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.config import Config, from_dict, to_dict
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.output.whole_file import make_folder
from maskrcnn.weights.tensor_file import write_tensors

FORMAT = "maskrcnn-1"


class Checkpoint(NamedTuple):
    """A model's parameters and what they belong to."""

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


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read our .safetensors. Raises `MaskRCNNError` when it is broken or not ours."""
    path = Path(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise MaskRCNNError(
                    f"expected a checkpoint of format {FORMAT}, found metadata {sorted(metadata)}",
                    where=path,
                    fix="use a .safetensors written by maskrcnn, or a torchvision .pth",
                )
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return Checkpoint(
            state,
            tuple(json.loads(metadata["names"])),
            _config(json.loads(metadata["config"])),
            json.loads(metadata["provenance"]),
        )
    except (SafetensorError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise MaskRCNNError(f"not a readable checkpoint: {error}", where=path, fix="copy the file again") from None


def _config(data: Any) -> Config:
    if not isinstance(data, dict):
        raise TypeError(f"config is {shown(data)}")
    return from_dict(data)
