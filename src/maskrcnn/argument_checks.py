"""Type and range checks of arguments, so that a wrong one is refused at once and by its name."""

from __future__ import annotations

import math
import numbers
import os
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown


def is_whole(value: object) -> bool:
    """Whether a value is an integer, of Python or numpy, and no bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)


def checked_share(value: Any, called: str) -> float:
    """A number from 0 to 1. Raises `MaskRCNNError` for anything else."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not number or not 0 <= value <= 1:  # NaN compares as False
        raise MaskRCNNError(
            f"{called}: expected a number from 0 to 1, found {shown(value)}", fix="give one, such as 0.5"
        )
    return float(value)


def checked_count(value: Any, called: str, most: int) -> int:
    """A whole number from 1 to ``most``. Raises `MaskRCNNError` for anything else."""
    if not is_whole(value) or not 1 <= value <= most:
        expected = f"expected a whole number from 1 to {most}, or None"
        raise MaskRCNNError(f"{called}: {expected}, found {shown(value)}", fix="give one, such as 4")
    return int(value)


def check_range(value: Any, called: str, least: float, most: float = math.inf, *, whole: bool = True) -> None:
    """Raise `MaskRCNNError` unless this is a number, whole if asked for, from ``least`` to ``most``."""
    number = is_whole(value) if whole else isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not number or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        limits = f"from {least:g} to {most:g}" if most < math.inf else f"not below {least:g}"
        raise MaskRCNNError(f"{called}: expected {kind} {limits}, found {shown(value)}", fix="correct it")


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; False for text that cannot be a path."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for some


def checked_path(value: Any, called: str) -> Path:
    """A path. Raises `MaskRCNNError` for anything but text and paths."""
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and path and "\0" not in path:
            return Path(path)
    raise MaskRCNNError(f"{called}: expected a path, found {shown(value)}", fix="give a str or pathlib.Path")
