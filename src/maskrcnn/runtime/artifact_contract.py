"""The contract of an exported model: what exporters write and runtimes read, the same in every file format.

The graph takes and gives these arrays, by name where the format has names, in this order where it has none:

    images  float32 [B, C, H, W]  values as stored (RGB 0..255), filled from the top left; H, W multiples of `DIVISOR`
    sizes   int64 [B, 2]          (height, width) of each image within the padding
    score   float32 []            lowest score asked for
    →
    boxes   float32 [B, D, 4]     pixels of the network input, best object first
    scores  float32 [B, D]
    labels  int64 [B, D]          indices into the class names
    valid   bool or uint8 [B, D]  rows that are not valid are padding
    masks   float32 [B, D, M, M]  probabilities in the box's frame

The metadata is JSON: ``format``, ``names``, ``config``, ``precision``, and ``maskrcnn``, the version that wrote it. It
lies under `KEY` in ONNX's metadata_props, OpenVINO's rt_info and AOTInductor's metadata, and in the extra file
`METADATA_FILE` of a torch.export program.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.config import Config, from_dict, to_dict
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import parse_json, shown
from maskrcnn.version import VERSION

KEY = "maskrcnn"
METADATA_FILE = f"{KEY}.json"
FORMAT = "maskrcnn-artifact-1"
INPUTS = ("images", "sizes", "score")
OUTPUTS = ("boxes", "scores", "labels", "valid", "masks")
DIVISOR = 32  # of the height and width of an input, in pixels
MAX_SIDE = 8192  # height and width of an input
MAX_BATCH = 1024
PROGRAM = ".pt2"  # the suffix of a torch.export program
# A torch.export program takes inputs of at least this height and width: below, the coarsest level of the pyramid is
# one cell, which the exporter takes for a constant.
MIN_PROGRAM_SIDE = 96

# Of each output: the kinds of numbers it may hold (numpy's dtype.kind), and its description.
_OUTPUT_TYPES = {
    "boxes": ("f", "floats [B, D, 4]"),
    "scores": ("f", "floats [B, D]"),
    "labels": ("iu", "integers [B, D]"),
    "valid": ("bu", "bools [B, D]"),
    "masks": ("f", "floats [B, D, M, M]"),
}
_SCORE_TOLERANCE = 1e-3  # for rounding
_MAX_LENGTH = 32 * 2**20  # characters of the metadata
_MAX_NAMES, _MAX_NAME_LENGTH = 100_000, 1000
_NAME = re.compile(rf"[^\ud800-\udfff]{{1,{_MAX_NAME_LENGTH}}}")  # no halves of surrogate pairs, which are not UTF-8
_EXPORT_AGAIN, _UPDATE = "export the model again", "update maskrcnn, or export the model again"


class ArtifactMetadata(NamedTuple):
    """The metadata of an exported model.

    Attributes:
        names: class names; labels index into them.
        config: settings of the model, preprocessing and thresholds included.
        precision: what it was exported in: fp32, bf16, fp16 or int8.
        version: of the maskrcnn that exported it.
    """

    names: tuple[str, ...]
    config: Config
    precision: str
    version: str = VERSION

    def to_json(self) -> str:
        """The text that exporters write."""
        content = {
            "format": FORMAT,
            "names": list(self.names),
            "config": to_dict(self.config),
            "precision": self.precision,
            "maskrcnn": self.version,
        }
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, path: Path) -> ArtifactMetadata:
        """Parse what `to_json` wrote.

        Args:
            path: the file, for messages.

        Raises:
            MaskRCNNError: the text is damaged, or of a format or with settings that this version does not know.
        """
        content: Any = None
        if len(text) <= _MAX_LENGTH:
            with contextlib.suppress(MaskRCNNError):  # reported below, with what was expected
                content = parse_json(text, path)
        content = content if isinstance(content, dict) else {}
        found = content.get("format")
        if found is None or (found == FORMAT and not isinstance(content.get("config"), dict)):
            what = f"damaged metadata under {KEY!r}: expected JSON with format, names and config, found {shown(text)}"
            raise MaskRCNNError(what, where=path, fix=_EXPORT_AGAIN)
        if found != FORMAT:
            what = f"expected an artifact of format {FORMAT}, found {shown(found)}"
            raise MaskRCNNError(what, where=path, fix=_UPDATE)
        names = _class_names(content.get("names"), path)
        precision, version = content.get("precision", "fp32"), content.get("maskrcnn", "unknown")
        for key, word in (("precision", precision), ("maskrcnn", version)):
            if not isinstance(word, str) or len(word) > _MAX_NAME_LENGTH:
                what = f"damaged metadata: expected a word under {key!r}, found {shown(word)}"
                raise MaskRCNNError(what, where=path, fix=_EXPORT_AGAIN)
        try:
            config = from_dict(content["config"])
        except MaskRCNNError as error:
            what = f"exported by maskrcnn {version} with settings that are not known here: {error.what}"
            raise MaskRCNNError(what, where=path, fix=_UPDATE) from error
        return cls(names, config, precision, version)


def _class_names(names: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(names, list) or not 0 < len(names) <= _MAX_NAMES:
        found = f"{len(names):,}" if isinstance(names, list) else shown(names)
        what = f"expected 1 to {_MAX_NAMES:,} class names, found {found}"
    elif wrong := [name for name in names if not (isinstance(name, str) and _NAME.fullmatch(name))]:
        what = f"expected class names of 1 to {_MAX_NAME_LENGTH:,} characters, found {shown(wrong[0])}"
    elif len(set(names)) < len(names):
        what = "expected each class name once"
    else:
        return tuple(names)
    raise MaskRCNNError(f"damaged metadata: {what}", where=path, fix=_EXPORT_AGAIN)


def graph_inputs(images: np.ndarray, sizes: np.ndarray, score: float) -> dict[str, np.ndarray]:
    """The arrays that a graph takes, by name."""
    return dict(zip(INPUTS, (images, sizes, np.array(score, np.float32)), strict=True))


def check_outputs(outputs: Sequence[np.ndarray], batch_size: int, classes: int) -> None:
    """Raises `MaskRCNNError` unless these are the arrays of `OUTPUTS` for so many images and classes."""
    shapes = [array.shape for array in outputs]
    detections, side = (shapes[1][1:2] or (0,))[0], shapes[4][-1:]
    rows = (batch_size, detections)
    for name, array, shape in zip(OUTPUTS, outputs, [(*rows, 4), rows, rows, rows, (*rows, *side, *side)], strict=True):
        kinds, expected = _OUTPUT_TYPES[name]
        if array.dtype.kind not in kinds or array.shape != shape:
            raise MaskRCNNError(f"{name}: expected {expected}, found {array.dtype} {list(array.shape)}")
    boxes, scores, labels, valid, masks = outputs
    valid = valid.astype(bool)
    if masks.shape[-1] == 0:
        raise MaskRCNNError("masks: expected [B, D, M, M] of 1 x 1 or more, found 0 x 0")
    for name, array in (("boxes", boxes), ("scores", scores), ("masks", masks)):
        if not np.isfinite(array[valid]).all():
            raise MaskRCNNError(f"{name}: expected finite numbers, found NaN or infinity")
    if not ((scores[valid] >= -_SCORE_TOLERANCE) & (scores[valid] <= 1 + _SCORE_TOLERANCE)).all():
        raise MaskRCNNError(f"scores: expected 0..1, found {scores[valid].min():g}..{scores[valid].max():g}")
    found = labels[valid]
    if found.size and not 0 <= found.min() <= found.max() < classes:
        raise MaskRCNNError(f"labels: expected 0..{classes - 1}, found {found.min()}..{found.max()}")
