"""`maskrcnn.view_dataset`: contact sheets of labelled images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from maskrcnn.argument_checks import check_range
from maskrcnn.datasets.survey.sheet_order import SheetOrder
from maskrcnn.errors import MaskRCNNError
from maskrcnn.html_table import escaped, html_lines
from maskrcnn.text import comma_separated, plural, suggestion
from maskrcnn.verbs.claimed_output import own_file
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from PIL.Image import Image

    from maskrcnn.annotations.problem import Problem


@dataclass(repr=False)
class ContactSheet:
    """The pages of a contact sheet. In a notebook the first one is shown.

    Attributes:
        shown: number of images on the pages.
        images: number of images in the data.
        pages: the pictures, unless they were written to files.
        files: that were written, in their order.
        problems: images and objects that could not be shown.
    """

    shown: int
    images: int
    pages: list[Image] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def headline(self) -> str:
        """How many of the images are shown."""
        return f"{self.shown:,} of {plural(self.images, 'image')}"

    def __repr__(self) -> str:
        return f"ContactSheet({self.headline()}, {plural(len(self.files or self.pages), 'page')})"

    def __str__(self) -> str:
        return "\n".join([self.headline(), *map(str, self.files), *map(str, self.problems)])

    def _repr_html_(self) -> str:
        from PIL import Image

        from maskrcnn.results.html_picture import html_picture

        first = self.pages[0] if self.pages else Image.open(self.files[0])
        lines = html_lines([*self.files, *self.problems])
        return f"<div>{html_picture(first, 1000)}<div>{escaped(self.headline())}</div>{lines}</div>"


def view_dataset(
    data: str | Path,
    path: str | Path | None = None,
    images: int = 16,
    split: str | None = None,
    sort: str = "random",
    seed: int = 0,
    classes: str | Sequence[str] | None = None,
    index: str | int | Sequence[str | int] | None = None,
    columns: int = 4,
    rows: int = 4,
    *,
    display: bool | VerbDisplay | None = None,
) -> ContactSheet:
    """Draw contact sheets: images with their masks, outlines and class names; as `maskrcnn dataset view`.

        maskrcnn.view_dataset("balloon", images=8, sort="smallest")

    Args:
        data: folder of images and labels, whose format is detected; or a .json or .yaml.
        path: write the pages to this .png or .jpg, further ones with numbers; nothing is written unless given.
        images: how many to show.
        split: which part of the data; train unless given, if there is one.
        sort: which images to show first: "random", "smallest" (objects) or "most-objects".
        seed: equal seeds give equal choices.
        classes: show only these classes.
        index: show these images: ids or file names.
        columns, rows: images side by side, and rows on a page; 1 to 12.
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    Raises:
        MaskRCNNError: no data set is there, or not that split, class or image; or the file cannot be written.
    """
    from maskrcnn.datasets.open_dataset import Source
    from maskrcnn.datasets.survey import contact_sheet
    from maskrcnn.datasets.survey.survey import survey_dataset

    if sort not in get_args(SheetOrder):
        raise MaskRCNNError(f"unknown sort {sort!r}", fix=suggestion(str(sort), get_args(SheetOrder)))
    for value, name, most in ((images, "images", math.inf), (columns, "columns", 12), (rows, "rows", 12)):
        check_range(value, name, 1, most)
    check_range(seed, "seed", 0)
    if path is not None:
        contact_sheet.check_suffix(Path(path))
    _, dataset = Source(data).open_or_default(split, "train")
    with shown_on(display) as shown, own_file(path, shown):
        named = comma_separated(_listed(classes), dataset.names)
        labels = contact_sheet.find_labels(dataset, named) if classes else None
        if index is not None and index != []:
            chosen = contact_sheet.find_images_by_id(dataset, comma_separated(_listed(index)))
        else:
            surveyed = None
            if labels is not None or sort != "random":
                with shown.bar("measure", len(dataset)) as advance:
                    surveyed = survey_dataset(dataset, advance)
            chosen = contact_sheet.choose_images(dataset, images, cast(Any, sort), seed, labels, surveyed)
        if not chosen:
            raise MaskRCNNError("no image to show", where=data, fix="choose other classes, or add images")
        sheets = contact_sheet.ContactSheets(dataset, chosen, labels, columns, rows)
        view = ContactSheet(len(chosen), len(dataset))
        with shown.bar("draw", len(sheets)) as advance:
            if path is None:
                for page in sheets:
                    view.pages.append(page)
                    advance()
            else:
                for file in contact_sheet.save_pages(sheets, Path(path)):
                    view.files.append(file)
                    shown.say(f"→ {file}")
                    advance()
        view.problems = [*dataset.problems, *sheets.problems]
    return view


def _listed(given: str | int | Sequence[str | int] | None) -> list[str]:
    return [] if given is None else [str(given)] if isinstance(given, str | int) else [str(one) for one in given]
