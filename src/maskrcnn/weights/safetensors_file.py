"""Writes tensors as safetensors: whole, with the umask's rights, and with errors of the disk told as such."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from maskrcnn.output.atomic_file import replacing


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a .safetensors; what was there stays until it is whole.

    Args:
        tensors: contiguous, on the CPU.

    Raises:
        MaskRCNNError: it cannot be written.
    """
    with replacing(path, durable=True) as part:
        save_tensors(part, tensors, metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """As `write_tensors`, directly. Raises `OSError` where the system does not write."""
    try:
        save_file(dict(tensors), path, dict(metadata or {}))
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
