"""Checks that readers of several formats share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels, StoredAnnotations
from maskrcnn.annotations.problem import DataError, Problem, unreadable
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.id_map_file import open_id_map
from maskrcnn.images.image_limits import MAX_PIXELS
from maskrcnn.images.image_reader import image_size
from maskrcnn.json_yaml import shown

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}(\.0*)?")
# Up to this many pixels, the size in a label file is trusted.
_TRUSTED_PIXELS = 2**25


def whole(value: Any) -> int | None:
    """A whole number below 2**63 as exporters write it: 7, 7.0, "7", "7.0"; None for anything else."""
    if isinstance(value, str):
        text = value.strip()
        value = int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def checked_size(height: Any, width: Any, image: Path) -> tuple[int, int]:
    """(H, W) as a label file claims it, or from the image's header where it claims none.

    A size so large that masks could fill the memory is compared with the header.

    Raises:
        DataError: it claims more pixels than are read or than the image has, or the image cannot be read either.
    """
    height, width = whole(height), whole(width)
    claimed = height is not None and width is not None and min(height, width) > 0
    if claimed and height * width > MAX_PIXELS:
        what = f"expected at most {MAX_PIXELS:,} pixels, found width {width:,} and height {height:,}"
        raise DataError("bad-size", what, fix="correct the size, or cut the image into tiles")
    if claimed and height * width <= _TRUSTED_PIXELS:
        return height, width
    try:
        found = image_size(image)
    except MaskRCNNError as error:
        raise DataError("unreadable-image", str(error), fix="") from error
    if claimed and found != (height, width):
        what = f"the labels are for {height} x {width} (height x width), the image has {found[0]} x {found[1]}"
        raise DataError("size-mismatch", what, fix="make both the same size")
    return found


def add_record(
    records: list[ImageRecord], problems: list[Problem], image: Path, labels: Path, objects: int = 0, map_name: str = ""
) -> None:
    """Append the record of an image, or a problem if the image cannot be read or its map has another size.

    Args:
        objects: how many are lost if the image cannot be read.
        map_name: what messages call `labels` if it is a map of objects; "" if it is none.
    """
    try:
        size = image_size(image)
        map_size = open_id_map(labels).size if map_name else size
    except MaskRCNNError as error:
        problems.append(unreadable(error, "unreadable-image", objects))
        return
    if size == map_size:
        records.append(ImageRecord(len(records) + 1, image, *size, labels))
    else:
        what = f"the image has {size[0]} x {size[1]}, its {map_name} {map_size[0]} x {map_size[1]}"
        problems.append(Problem("size-mismatch", str(image), what, "make both the same size", images_lost=1))


def text_lines(file: Path) -> list[str]:
    """The lines of a text file; none if there is no such file.

    Raises:
        MaskRCNNError: it cannot be read, or is no text.
    """
    if not file.is_file():
        return []
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MaskRCNNError(f"cannot be read as text: {error}", where=file, fix="write the labels again") from error


def stored_labels(
    names: Iterable[str],
    records: Sequence[ImageRecord],
    annotations: Sequence[Sequence[Annotation]],
    problems: Sequence[Problem],
    source: Path,
) -> Labels:
    """The labels of annotations that are all read, with a note if some objects have a box and no mask."""
    single = [annotation for image in annotations for annotation in image if not annotation.crowd]
    notes = []
    if maskless := sum(annotation.segmentation is None for annotation in single):
        what = f"{maskless:,} of {len(single):,} objects have a box and no mask: they train and measure boxes only"
        notes = [Problem("no-mask", str(source), what, "add masks if you have them", "note")]
    return Labels(list(names), records, StoredAnnotations(annotations), [*problems, *notes])


def doubled_names(names: Sequence[str], source: Path) -> list[Problem]:
    """A warning if a class name is listed twice; "" stands for a number without a class."""
    doubled = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if not doubled:
        return []
    more = f" and {len(doubled) - 1:,} more names" if len(doubled) > 1 else ""
    what = f"classes of the same name count as one: {shown(doubled[0])}{more}"
    return [Problem("duplicate-category", str(source), what, "rename them if they are not the same", "warning")]


def require_images(
    records: Sequence[ImageRecord], what: str, problems: Sequence[Problem], where: Path, fix: str
) -> None:
    """Raises MaskRCNNError if there is no record: `what`, and the problem of the first image lost."""
    if not records:
        first = next((f", the first: {problem}" for problem in problems if problem.images_lost), "")
        raise MaskRCNNError(f"{what}{first}", where=where, fix=fix)
