"""`maskrcnn dataset convert DATA DST`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import split_names
from maskrcnn.cli.console import say, show_problems
from maskrcnn.cli.options import DATA_FORMATS, Data, Link, one_of
from maskrcnn.cli.progress import TerminalDisplay


def dataset_convert(
    data: Data,
    folder: Annotated[Path, typer.Argument(metavar="DST", help="Folder of the new data set.")],
    format: Annotated[str, one_of(*DATA_FORMATS)],
    split: Annotated[
        list[str] | None,
        typer.Option(help="Part to convert; may be given several times. All unless given.", autocompletion=split_names),
    ] = None,
    link: Link = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Write a data set in another format.

    Names what that format cannot store, one line each.
    """
    from maskrcnn.verbs.convert_dataset import convert_dataset

    done = convert_dataset(data, folder, format, split, link, force, display=TerminalDisplay())
    for line in done.lines():
        say(line)
    raise typer.Exit(show_problems([*done.problems, *done.omissions]))
