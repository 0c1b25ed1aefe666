"""AOTInductor: the traced `detect` compiled to native code, which PyTorch loads without tracing or compiling."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from maskrcnn.export.metadata import KEY, metadata
from maskrcnn.export.traced_program import INPUTS, trace
from maskrcnn.model.mask_rcnn import MaskRCNN


def write(model: MaskRCNN, path: Path, precision: str = "fp32", calibrate: Path | None = None) -> None:
    """Compile the model to ``path`` (.pt2), with what it says of itself as the metadata ``maskrcnn``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch._inductor").setLevel(logging.ERROR)
        torch._inductor.aoti_compile_and_package(
            trace(model, whole=False),
            package_path=str(path),
            inductor_configs={"aot_inductor.metadata": {KEY: metadata(model, precision)}},
        )


class CompiledSession:
    """The compiled program as a function of arrays, as the sessions of `maskrcnn.runtime` are."""

    def __init__(self, path: Path) -> None:
        self._package = torch._inductor.aoti_load_package(str(path))
        self.about = json.loads(self._package.get_metadata()[KEY])

    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """The five arrays of detections for `INPUTS` by name."""
        return [part.numpy() for part in self._package(*(torch.from_numpy(feeds[name]) for name in INPUTS))]
