"""Which mask file belongs to which image, where one file marks all objects of an image.

Images lie in images/ and masks in masks/, or both lie in one folder. A mask has the name of its image, or that name
with an ending such as _masks, _mask or _label, as cellpose and others write them; img_7 and mask_7 are a pair as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.formats.split_names import subfolder
from maskrcnn.images.id_map_file import ID_MAP_SUFFIXES, SAVE_AS
from maskrcnn.images.image_reader import find_images

_ENDING = re.compile(r"(?<=.)[_. -](cp_masks|masks?|labels?|instances?|ids)$", re.IGNORECASE)
_MASK_PREFIX = re.compile(r"^(masks?|labels?)[_. -]?(?=\d)", re.IGNORECASE)
_IMAGE_ENDING = re.compile(r"(?<=.)[_. -](img|image|raw)$", re.IGNORECASE)
_IMAGE_PREFIX = re.compile(r"^(images?|img|im)[_. -]?(?=\d)", re.IGNORECASE)
# Files that cellpose writes beside an image and its mask.
_ASIDE = re.compile(r"(?<=.)_(seg|flows|outlines|cp_output)$", re.IGNORECASE)
_PREDICTED = "cp_masks"


class MaskPair(NamedTuple):
    """An image, its id map or None, and a problem if there is none or more than one."""

    image: Path
    mask: Path | None
    problem: Problem | None


def pairs(folder: Path) -> list[MaskPair] | None:
    """The images of a folder with their masks; None if it does not hold pairs."""
    pictures, maps = subfolder(folder, "images"), subfolder(folder, "masks")
    if pictures.is_dir() and maps.is_dir():
        return list(_matched(find_images(pictures), _files(maps), "masks/{}.png"))
    files = _files(folder)
    named = {file for file in files if _is_mask(file)}
    # Beside label files, images with such names are images to be labelled.
    if not named or any(file.suffix.lower() == ".json" for file in files):
        return None
    found = find_images(folder)
    keys = {_key(image.stem) for image in found if image not in named and not _ASIDE.search(image.stem)}
    masks = [file for file in files if file in named and _key(file.stem) in keys]
    if not masks:
        return None
    aside = {image for image in found if _ASIDE.search(image.stem) and _key(image.stem) in keys}
    return list(_matched([image for image in found if image not in {*masks, *aside}], masks, "{}_masks.png"))


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if not file.name.startswith(".")) if folder.is_dir() else []


def _is_mask(file: Path) -> bool:
    """Whether a name alone says that a file is a mask."""
    named = _ENDING.search(file.stem) or _MASK_PREFIX.match(file.stem)
    return _is_pickle(file) or (named is not None and file.suffix.lower() in ID_MAP_SUFFIXES)


def _is_pickle(file: Path) -> bool:
    return file.name.lower().endswith("_seg.npy")


def _key(stem: str) -> str:
    """The part that the names of an image and its mask share."""
    for pattern in (_ASIDE, _ENDING, _IMAGE_ENDING, _MASK_PREFIX, _IMAGE_PREFIX):
        stem = pattern.sub("", stem)
    return stem


def _matched(images: Sequence[Path], files: Sequence[Path], expected: str) -> Iterator[MaskPair]:
    """Each image with its mask; `expected` is the name that a mask has for a stem."""
    by_stem: dict[str, list[Path]] = {}
    by_key: dict[str, list[Path]] = {}
    for file in files:
        by_stem.setdefault(file.stem, []).append(file)
        by_key.setdefault(_key(file.stem), []).append(file)
    of_key = Counter(_key(image.stem) for image in images)
    for image in images:
        key = _key(image.stem)
        # A key that two images share matches neither.
        alike = by_key.get(key, []) if of_key[key] == 1 else []
        found = list(dict.fromkeys([*by_stem.get(image.stem, []), *alike]))
        usable = [file for file in found if file.suffix.lower() in ID_MAP_SUFFIXES and not _is_pickle(file)]
        usable.sort(key=lambda file: (file.stem != image.stem, file.stem.lower().endswith(_PREDICTED)))
        if not usable:
            yield MaskPair(image, None, _missing(image, found, expected.format(image.stem)))
            continue
        mask, *others = usable
        several = f"{mask.name} is used, not {', '.join(file.name for file in others[:3])}"
        problem = Problem("several-masks", str(image), several, "keep one", "warning") if others else None
        yield MaskPair(image, mask, problem)


def _missing(image: Path, found: Sequence[Path], expected: str) -> Problem:
    what, fix = f"no {expected}", "add the mask, an empty one if no object"
    if any(map(_is_pickle, found)):
        what += ", and a _seg.npy is a pickle, which can run code and is not loaded"
        fix = "save the masks as PNG or TIFF in cellpose"
    elif found:
        changes = found[0].suffix.lower() in (".jpg", ".jpeg", ".webp")
        what += f", and {found[0].name} is " + ("of a kind that changes numbers" if changes else "not read as one")
        fix = SAVE_AS
    return Problem("missing-mask", str(image), what, fix, images_lost=1)
