"""VOC's Annotations/*.xml: names and boxes of an image's objects."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.formats.xml_tree import elements
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Box

_MAX_BYTES = 2**26
SIDES = ("xmin", "ymin", "xmax", "ymax")


class VocObject(NamedTuple):
    """One object: its class, its box in continuous image pixels, and whether it is marked as hard to recognise."""

    name: str
    box: Box
    difficult: bool


def read_objects(file: Path) -> tuple[list[VocObject], list[Problem]]:
    """The objects of a file, none if there is no such file; a problem if it cannot be used."""
    found: list[VocObject] = []
    if not file.is_file():
        return found, []
    try:
        for element in elements(file, ("object",), _MAX_BYTES):
            # VOC counts pixels from 1 and includes the last.
            x1, y1, x2, y2 = (float(element.findtext(f"bndbox/{side}", "")) for side in SIDES)
            difficult = element.findtext("difficult", "0").strip() == "1"
            found.append(VocObject(element.findtext("name", "").strip(), (x1 - 1, y1 - 1, x2, y2), difficult))
    except MaskRCNNError as error:
        return found, [Problem("bad-file", str(file), error.what, error.fix, "warning")]
    except ValueError as error:
        what = f"expected bndbox with numbers {', '.join(SIDES)}: {error}"
        return found, [Problem("bad-entry", str(file), what, "correct it", "warning")]
    return found, []
