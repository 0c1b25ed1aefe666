"""What an artifact says of itself: JSON under one key, the same in every format."""

from __future__ import annotations

import json

import maskrcnn
from maskrcnn.config import to_dict
from maskrcnn.model.mask_rcnn import MaskRCNN

KEY = "maskrcnn"
FORMAT = "maskrcnn-artifact-1"


def metadata(model: MaskRCNN, precision: str) -> str:
    """Class names, configuration (preprocessing and thresholds are part of it) and precision, as JSON."""
    content = {
        "format": FORMAT,
        "names": list(model.names),
        "config": to_dict(model.config),
        "precision": precision,
        "maskrcnn": maskrcnn.__version__,
    }
    return json.dumps(content, ensure_ascii=False)
