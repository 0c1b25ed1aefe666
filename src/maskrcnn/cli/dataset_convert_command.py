"""`maskrcnn dataset convert DATA DST`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import split_names
from maskrcnn.cli.console import say, show_problems
from maskrcnn.cli.options import DATA_FORMATS, Data, Link, one_of
from maskrcnn.cli.output_claim import own_folder
from maskrcnn.cli.progress import bar
from maskrcnn.text import plural


def dataset_convert(
    data: Data,
    folder: Annotated[Path, typer.Argument(metavar="DST", help="Folder of the new data set.")],
    to: Annotated[str, one_of(*DATA_FORMATS, name="--format")],
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
    from maskrcnn.datasets.conversion.conversion import convert as write
    from maskrcnn.datasets.formats.format_registry import format_named
    from maskrcnn.datasets.open_dataset import Source

    form, source = format_named(to), Source(data)
    datasets = {name: source.open(name) for name in split or source.splits}
    with own_folder(folder), bar("convert", sum(map(len, datasets.values()))) as advance:
        done = write(datasets, folder, form, link, force, advance)
    for name, written in done.splits.items():
        crowd = f", {plural(written.crowd, 'crowd region')}" if written.crowd else ""
        images, objects = plural(written.images, "image"), plural(written.objects, "object")
        say(f"{name or 'all'}: {images}, {objects}{crowd}")
    say(f"{form.title} → {folder}")
    raise typer.Exit(show_problems([*done.problems, *done.omissions]))
