"""What the classes in VOC's class maps are called. Maps have numbers or colours; their names are looked for in

    labelmap.txt        as CVAT writes it: name:r,g,b:…, by their places and colours
    class_names.txt     as labelme2voc writes it: line k + 1 names number k; so does labels.txt with _background_ in it
    names               that the caller knows
    Annotations/*.xml   VOC's twenty, if the .xml name nothing else and the numbers are theirs; else the names that are
                        there, and each object has that of the box which fits it best

in this order. Where there is nothing, classes are called by their numbers, with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.formats.reserved_names import BACKGROUND, NO_CLASS
from maskrcnn.datasets.formats.voc_colour_map import (
    CLASSES,
    OBJECTS,
    VOID,
    colour_numbers,
    colours,
    maps_folder,
    number_of,
    read_numbers,
)
from maskrcnn.datasets.formats.voc_objects import read_objects
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import listed

# fmt: off
_VOC_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
_LOOKED_AT = 50
_AGREE = 0.9  # of the numbers in some maps are in VOC's .xml of the image
_MAX_NUMBERS = 254
_MAX_BYTES = 2**24
_FIX = "write class_names.txt: a name a line in the order of the numbers, the first _background_"


class Classes(NamedTuple):
    """Class names, and how the objects get theirs.

    Attributes:
        names: of the classes.
        labels: number in class maps → class; a colour's number is negative, where it is not also a number of the map.
        by_box: classes come from the boxes in the .xml files, not from class maps.
        problems: what is assumed, and what is not named.
    """

    names: list[str]
    labels: dict[int, int]
    by_box: bool = False
    problems: tuple[Problem, ...] = ()


def find_classes(root: Path, names: Sequence[str] | None = None) -> Classes:
    """The classes of a VOC folder, the same for all its image sets.

    Raises:
        MaskRCNNError: a list of names cannot be read, or nothing names the many colours of class maps.
    """
    if (root / "labelmap.txt").is_file():
        return _named(_labelmap(_lines(root / "labelmap.txt")))
    for file in (root / "class_names.txt", root / "labels.txt"):
        lines = _lines(file) if file.is_file() else []
        if lines and (file.name == "class_names.txt" or BACKGROUND in lines):
            return _named(_listed(lines))
    maps = maps_folder(root, CLASSES)
    if names is not None and maps.is_dir():
        return _named({number_of(place): name for place, name in enumerate(names, start=1)})
    stems = sorted(file.stem for file in maps_folder(root, OBJECTS).glob("*.png"))
    written = [file for stem in stems if (file := root / "Annotations" / f"{stem}.xml").is_file()]
    if maps.is_dir() and _is_pascal(maps, written):
        return _named({number_of(place): name for place, name in enumerate(_VOC_NAMES, start=1)})
    used = sorted({found.name for file in written for found in read_objects(file)[0] if found.name})
    if maps.is_dir() and not used:
        return _numbered(root, [maps / f"{stem}.png" for stem in stems])
    what = "no list of class names: each object has the name of the box in Annotations that fits it best"
    problems = (Problem("names-of-boxes", str(root), what, _FIX, "note"),) if maps.is_dir() else ()
    return Classes(used or ["object"], {}, True, problems)


def _lines(file: Path) -> list[str]:
    try:
        if (size := file.stat().st_size) > _MAX_BYTES:
            raise MaskRCNNError(f"expected at most {_MAX_BYTES:,} bytes, found {size:,}", where=file)
        return [line.strip() for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines()]
    except OSError as error:
        raise MaskRCNNError(f"cannot be read: {error.strerror}", where=file, fix="check the file") from error


def _named(numbers: dict[int, str]) -> Classes:
    names = list(dict.fromkeys(numbers.values()))
    return Classes(names, {number: names.index(name) for number, name in numbers.items()})


def _labelmap(lines: Sequence[str]) -> dict[int, str]:
    """Number → name; a colour has the number that VOC's palette gives it, negative."""
    numbers: dict[int, str] = {}
    entries = [line.rsplit(":", 3) for line in lines if line and not line.startswith("#")]
    has_background = any(name.strip().lower() == "background" for name, *_ in entries)
    for place, (name, *rest) in enumerate(entries, start=0 if has_background else 1):
        if name.strip().lower() not in ("background", "ignored"):
            values = [value.strip() for value in rest[0].split(",")] if rest else []
            colour = [int(value) for value in values if value.isdecimal() and len(value) < 4]
            # A class map has either places or colours.
            numbers[number_of(place)] = name.strip()
            if len(colour) == 3 and max(colour) < 256:
                numbers[-int(colour_numbers(np.array(colour)))] = name.strip()
    return numbers


def _listed(lines: Sequence[str]) -> dict[int, str]:
    """Number → name; numbers count from the background, or from the first line."""
    first = lines.index(BACKGROUND) if BACKGROUND in lines else 0
    named = {number: name for number, name in enumerate(lines[first:]) if name not in ("", *NO_CLASS)}
    return {number: name for number, name in named.items() if number not in (0, VOID)}


def _is_pascal(maps: Path, written: Sequence[Path]) -> bool:
    """Whether .xml and class maps are PASCAL VOC's own: its names, and its numbers in images that show such objects."""
    total = agree = 0
    for file in written[:_LOOKED_AT]:
        names = {found.name for found in read_objects(file)[0]}
        if not names <= set(_VOC_NAMES):
            return False
        numbers = _numbers(maps / f"{file.stem}.png") if names else set()
        total += len(numbers)
        agree += sum(number <= len(_VOC_NAMES) and _VOC_NAMES[number - 1] in names for number in numbers)
    return 0 < total <= agree / _AGREE


def _numbers(file: Path) -> set[int]:
    """The class numbers in a map; none if it cannot be read, which is reported when the image is read."""
    if not file.is_file():
        return set()
    try:
        found, _ = read_numbers(file)
    except MaskRCNNError:
        return set()
    return {number for number in np.unique(found).tolist() if number not in (0, VOID)}


def _numbered(root: Path, maps: Sequence[Path]) -> Classes:
    """Classes called by their numbers, or by their colours where these are not of VOC's palette of 256."""
    numbers: set[int] = set()
    for file in maps:
        numbers |= _numbers(file)
        if len(numbers) > _MAX_NUMBERS:
            what = f"expected a list of class names, found none, and more than {_MAX_NUMBERS} colours in class maps"
            raise MaskRCNNError(what, where=root, fix=_FIX)
    rgb = {number: ",".join(map(str, colours(np.array(number)).tolist())) for number in numbers if number > VOID}
    found = _named({n: f"colour {rgb[n]}" if n in rgb else f"class {n}" for n in sorted(numbers)})
    what = f"no list of class names: they are called by their numbers ({listed(found.names, 4)})"
    return found._replace(problems=(Problem("no-class-names", str(root), what, _FIX, "warning"),))
