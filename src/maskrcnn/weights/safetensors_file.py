"""Reads and writes safetensors. Files are written whole, with the umask's rights; a full disk is an `OSError`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import replacing
from maskrcnn.text import first_line

MAX_TENSORS = 100_000


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a .safetensors; an existing file is replaced once the new one is complete.

    Args:
        tensors: contiguous, on the CPU.

    Raises:
        MaskRCNNError: it cannot be written.
    """
    with replacing(path, durable=True) as part:
        save_tensors(part, tensors, metadata)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """As `write_tensors`, without the temporary file. Raises `OSError` if it cannot be written."""
    try:
        save_file(dict(tensors), path, dict(metadata or {}))
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def read_safetensors(path: Path, kind: str = "checkpoint") -> dict[str, Tensor]:
    """The tensors of a .safetensors. Raises `MaskRCNNError` when it is broken."""
    with _open(path, kind) as file:
        keys = list(file.keys())
        if len(keys) > MAX_TENSORS:
            raise MaskRCNNError(f"expected at most {MAX_TENSORS:,} tensors, found {len(keys):,}", where=path)
        return {key: file.get_tensor(key) for key in keys}


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors. Raises `MaskRCNNError` when it is broken."""
    with _open(path) as file:
        return file.metadata() or {}


@contextmanager
def _open(path: Path, kind: str = "checkpoint") -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = f"not a readable {kind}: {first_line(error)}"
        raise MaskRCNNError(what, where=path, fix="copy the file again") from None
