"""`maskrcnn dataset view DATA`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.console import say, show_problems
from maskrcnn.cli.options import Data, Seed, Split, comma_separated, output
from maskrcnn.cli.output_claim import own_file
from maskrcnn.cli.progress import bar
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import plural


class Sort(str, Enum):
    """Which images a contact sheet shows first."""

    random = "random"
    smallest = "smallest"
    most_objects = "most-objects"


def dataset_view(
    data: Data,
    path: Annotated[Path, output("PNG or JPEG; further pages are numbered.")] = Path("sheet.png"),
    images: Annotated[int, typer.Option(min=1, help="How many images to show.")] = 16,
    split: Split = None,
    sort: Annotated[Sort, typer.Option(help="Which images to show first.")] = Sort.random,
    seed: Seed = 0,
    classes: Annotated[list[str] | None, typer.Option(help="Show only these classes: cat,dog.")] = None,
    index: Annotated[list[str] | None, typer.Option(help="Show these images: ids or file names, 3,7.")] = None,
    columns: Annotated[int, typer.Option(min=1, max=12, help="Images side by side.")] = 4,
    rows: Annotated[int, typer.Option(min=1, max=12, help="Rows on a page.")] = 4,
) -> None:
    """Draw contact sheets.

    They show images with their masks, outlines and class names.
    """
    from maskrcnn.datasets.open_dataset import Source
    from maskrcnn.datasets.survey import contact_sheet
    from maskrcnn.datasets.survey.survey import survey_dataset

    contact_sheet.check_suffix(path)
    _, dataset = Source(data).open_or_default(split, "train")
    with own_file(path):
        labels = contact_sheet.find_labels(dataset, comma_separated(classes, dataset.names)) if classes else None
        if index:
            chosen = contact_sheet.find_images_by_id(dataset, comma_separated(index))
        else:
            surveyed = None
            if labels is not None or sort is not Sort.random:
                with bar("measure", len(dataset)) as advance:
                    surveyed = survey_dataset(dataset, advance)
            chosen = contact_sheet.choose_images(dataset, images, sort.value, seed, labels, surveyed)
        if not chosen:
            raise MaskRCNNError("no image to show", where=data, fix="choose other classes, or add images")
        sheets = contact_sheet.ContactSheets(dataset, chosen, labels, columns, rows)
        with bar("draw", len(sheets)) as advance:
            for page in contact_sheet.save_pages(sheets, path):
                say(f"→ {page}")
                advance()
    say(f"{len(chosen):,} of {plural(len(dataset), 'image')}")
    raise typer.Exit(show_problems([*dataset.problems, *sheets.problems]))
