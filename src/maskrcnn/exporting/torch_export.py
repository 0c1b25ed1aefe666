"""torch.export: the traced `detect` in torch's own operators, which PyTorch runs without this package."""

from __future__ import annotations

from pathlib import Path

import torch

from maskrcnn.exporting.traced_program import quiet, trace
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.runtime.artifact_contract import METADATA_FILE, ArtifactMetadata


def write(model: MaskRCNN, path: Path, precision: str = "fp32", calibrate: Path | None = None) -> None:
    """Write the model to ``path`` (.pt2), its metadata in an extra file of the archive."""
    metadata = ArtifactMetadata(model.names, model.config, precision).to_json()
    with quiet():
        torch.export.save(trace(model, opaque=False), path, extra_files={METADATA_FILE: metadata})
