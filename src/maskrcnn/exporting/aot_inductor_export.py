"""AOTInductor: the traced `detect` compiled to native code, which PyTorch loads without tracing or compiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from maskrcnn.exporting.traced_program import quiet, trace
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime.artifact_contract import INPUTS, KEY, MIN_PROGRAM_SIDE, OUTPUTS, ArtifactMetadata


def write(model: MaskRCNN, path: Path, precision: str = "fp32", calibrate: Path | None = None) -> None:
    """Compile the model to ``path`` (.pt2)."""
    metadata = ArtifactMetadata(model.names, model.config, precision).to_json()
    with quiet():
        torch._inductor.aoti_compile_and_package(
            trace(model, opaque=False),
            package_path=str(path),
            inductor_configs={"aot_inductor.metadata": {KEY: metadata}},
        )


class CompiledSession:
    """A `maskrcnn.runtime.Session` of a compiled program, to compare it with its model after an export."""

    smallest = MIN_PROGRAM_SIDE
    inputs, outputs = list(INPUTS), list(OUTPUTS)

    def __init__(self, path: Path) -> None:
        self.runtime = f"AOTInductor of torch {torch.__version__}"
        self._package = torch._inductor.aoti_load_package(str(path))
        self.metadata = ArtifactMetadata.from_json(self._package.get_metadata()[KEY], path)
        self.shape: tuple[int | None, ...] = 1, self.metadata.config.preprocess.channels, None, None

    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        return [part.numpy() for part in self._package(*(torch.from_numpy(feeds[name]) for name in INPUTS))]
