"""`maskrcnn.convert_dataset`: a data set in another format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.verbs.claimed_output import own_folder
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.datasets.conversion.conversion import Conversion


def convert_dataset(
    data: str | Path,
    folder: str | Path,
    format: str,
    split: str | Sequence[str] | None = None,
    link: bool = False,
    force: bool = False,
    *,
    display: bool | VerbDisplay | None = None,
) -> Conversion:
    """Write a data set in another format; as `maskrcnn dataset convert`.

        print(maskrcnn.convert_dataset("balloon", "balloon-yolo", "yolo"))

    Args:
        data: folder of images and labels, whose format is detected; or a .json or .yaml.
        folder: of the new data set.
        format: coco, lvis, yolo, labelme, cvat, voc, idmask or binmask.
        split: part to convert, or several; all unless given.
        link: link the image files instead of copying them.
        force: write into a folder that is not empty.
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    Returns:
        What was written, and what that format cannot store.

    Raises:
        MaskRCNNError: no data set is there, the format is unknown, or the folder is not empty.
    """
    from maskrcnn.datasets.conversion.conversion import convert as write
    from maskrcnn.datasets.formats.format_registry import format_named
    from maskrcnn.datasets.open_dataset import Source

    form, source = format_named(format), Source(data)
    names = [split] if isinstance(split, str) else split
    datasets = {name: source.open(name) for name in names or source.splits}
    total = sum(map(len, datasets.values()))
    with shown_on(display) as shown, own_folder(folder, shown), shown.bar("convert", total) as advance:
        return write(datasets, folder, form, link, force, advance)
