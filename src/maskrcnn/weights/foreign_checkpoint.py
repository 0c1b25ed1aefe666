"""A checkpoint of another library, converted to our parameter names and settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.text import listed, plural
from maskrcnn.weights.catalog import COCO_NAMES
from maskrcnn.weights.class_names import check_class_names

# The 80 categories that COCO uses, in the order of their ids: how detectron2 and mmdetection number classes.
_COCO_80 = tuple(name for name in COCO_NAMES if not name.startswith("unused "))


class ForeignCheckpoint(NamedTuple):
    """Another library's checkpoint under our names and settings."""

    library: str
    state: dict[str, Tensor]
    config: Config
    classes: int
    names: tuple[str, ...] | None  # as in the file
    notes: list[str]  # where settings were found, and what was assumed


def choose_class_names(
    foreign: ForeignCheckpoint, given: Sequence[str] | None, where: Path
) -> tuple[tuple[str, ...], list[str]]:
    """The names of a file's classes, and notes: those given, its own, COCO's if the number fits, or else numbers.

    Raises:
        MaskRCNNError: there are more or fewer names than classes.
    """
    notes: list[str] = []
    names = given
    coco = COCO_NAMES if foreign.library == "torchvision" else _COCO_80
    if given is None and foreign.names is not None:
        try:
            names = check_class_names(foreign.names)
        except MaskRCNNError as error:
            notes = [f"the file's own names are not used: {error.what}"]
    if names is None and foreign.classes == len(coco):
        names = coco
        notes.append(f"{foreign.classes + 1} outputs: taken as COCO's categories")
    elif names is None:
        names = [f"class {number}" for number in range(1, foreign.classes + 1)]
        notes.append(f"the file names no classes: {listed(names)}; pass names=[…]")
    if len(names) != foreign.classes:
        what = f"expected {plural(foreign.classes, 'class name')}, found {len(names)}"
        raise MaskRCNNError(what, where=where, fix="leave background out")
    return tuple(names), notes


def pixel_statistics(mean: Sequence[float], std: Sequence[float], bgr: bool, where: object = None) -> dict[str, Any]:
    """``Preprocess`` fields of statistics given for values 0..255, in order blue, green, red if ``bgr``.

    Raises:
        MaskRCNNError: they are not numbers.
    """
    step = -1 if bgr else 1
    try:
        return {
            "mean": tuple(float(value) / 255 for value in mean)[::step],
            "std": tuple(float(value) / 255 for value in std)[::step],
        }
    except (TypeError, ValueError, OverflowError):
        what = f"expected numbers as pixel statistics, found mean {shown(mean)} and std {shown(std)}"
        raise MaskRCNNError(what, where=where, fix="correct the settings that they come from") from None
