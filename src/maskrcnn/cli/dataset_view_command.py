"""`maskrcnn dataset view DATA`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import literals, offer
from maskrcnn.cli.console import say, show_problems
from maskrcnn.cli.options import Data, Seed, Split, output
from maskrcnn.cli.progress import TerminalDisplay
from maskrcnn.datasets.survey.sheet_order import SheetOrder

_ORDERS = literals(SheetOrder)


def dataset_view(
    data: Data,
    path: Annotated[Path, output("PNG or JPEG; further pages are numbered.")] = Path("sheet.png"),
    images: Annotated[int, typer.Option(min=1, help="How many images to show.")] = 16,
    split: Split = None,
    sort: Annotated[
        str,
        typer.Option(help=f"Which images to show first: {', '.join(_ORDERS)}.", autocompletion=offer(_ORDERS)),
    ] = "random",
    seed: Seed = 0,
    classes: Annotated[list[str] | None, typer.Option(help="Show only these classes: cat,dog.")] = None,
    index: Annotated[list[str] | None, typer.Option(help="Show these images: ids or file names, 3,7.")] = None,
    columns: Annotated[int, typer.Option(min=1, max=12, help="Images side by side.")] = 4,
    rows: Annotated[int, typer.Option(min=1, max=12, help="Rows on a page.")] = 4,
) -> None:
    """Draw contact sheets.

    They show images with their masks, outlines and class names.
    """
    from maskrcnn.verbs.view_dataset import view_dataset

    view = view_dataset(data, path, images, split, sort, seed, classes, index, columns, rows, display=TerminalDisplay())
    say(view.headline())
    raise typer.Exit(show_problems(view.problems))
