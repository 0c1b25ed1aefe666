"""torchvision's compiled operators without its Python package, whose import takes nearly as long as torch's own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

_LIBRARIES = ("_C*.so", "image*.so")  # of detection, and of image files; their names vary with the release


def load_torchvision_operators() -> None:
    """Make ``torch.ops.torchvision`` and ``torch.ops.image`` ready.

    Where the libraries are not found or do not load, torchvision itself is imported.
    """
    if "torchvision" in sys.modules:
        return
    spec = importlib.util.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        _load(Path(folder))
    if not hasattr(torch.ops.torchvision, "nms"):
        importlib.import_module("torchvision")


def _load(folder: Path) -> None:
    for pattern in _LIBRARIES:
        for path in sorted(folder.glob(pattern)):
            try:
                torch.ops.load_library(str(path))
            except OSError:  # built for another torch, or a library that it needs is missing
                return
