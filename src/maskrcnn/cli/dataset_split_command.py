"""`maskrcnn dataset split DATA DST`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import offer
from maskrcnn.cli.console import say, show_problems, show_table, warn
from maskrcnn.cli.options import DATA_FORMATS, Data, Link, Seed
from maskrcnn.cli.progress import TerminalDisplay


def dataset_split(
    data: Data,
    folder: Annotated[Path, typer.Argument(metavar="DST", help="New folder for the split data.")],
    val: Annotated[float, typer.Option(min=0, max=1, help="Share of the images to validate on.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of the images to test on.")] = 0.0,
    seed: Seed = 0,
    merge: Annotated[bool, typer.Option("--merge", help="Merge existing splits, and split anew.")] = False,
    format: Annotated[
        str | None,
        typer.Option(
            help="Format of the new data; that of the source unless given.", autocompletion=offer(DATA_FORMATS)
        ),
    ] = None,
    link: Link = False,
    similar: Annotated[
        float, typer.Option(min=0.3, max=1, help="Similarity from which images stay together; 1 for identical ones.")
    ] = 0.55,
) -> None:
    """Divide data into train, val and test.

    Near-duplicates stay together, and rare classes are spread over all parts.
    """
    from maskrcnn.verbs.split_dataset import split_dataset

    done = split_dataset(data, folder, val, test, seed, merge, format, link, similar, display=TerminalDisplay())
    for line in done.headlines():
        say(line)
    show_table(done.plan.table())
    for line in done.plan.missing_classes():
        warn(line)
    for line in done.endings():
        say(line)
    raise typer.Exit(show_problems(done.problems))
