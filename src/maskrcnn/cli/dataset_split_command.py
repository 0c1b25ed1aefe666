"""`maskrcnn dataset split DATA DST`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import offer
from maskrcnn.cli.console import say, show_problems, show_table, warn
from maskrcnn.cli.options import DATA_FORMATS, Data, Link, Seed
from maskrcnn.cli.output_claim import own_folder
from maskrcnn.cli.progress import bar
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import plural


def dataset_split(
    data: Data,
    folder: Annotated[Path, typer.Argument(metavar="DST", help="New folder for the split data.")],
    val: Annotated[float, typer.Option(min=0, max=1, help="Share of the images to validate on.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of the images to test on.")] = 0.0,
    seed: Seed = 0,
    merge: Annotated[bool, typer.Option("--merge", help="Merge existing splits, and split anew.")] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Format of the new data; that of the source unless given.",
            autocompletion=offer(DATA_FORMATS),
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
    from maskrcnn.datasets.combine import combined
    from maskrcnn.datasets.conversion.conversion import convert as write
    from maskrcnn.datasets.formats.format_registry import format_named
    from maskrcnn.datasets.open_dataset import Source
    from maskrcnn.datasets.survey.split import plan_split, split_shares, subset
    from maskrcnn.output.unfinished import is_free

    source = Source(data)
    if len(source.splits) > 1 and not merge:
        found = f"the data is already split into {', '.join(source.splits)}"
        raise MaskRCNNError(found, where=data, fix="add --merge to pool and split anew")
    if not is_free(folder):
        raise MaskRCNNError("expected an empty folder", where=folder, fix="choose another one")
    target = source.format if form is None else format_named(form)
    parts = [source.open(name) for name in source.splits]
    whole = parts[0] if len(parts) == 1 else combined(parts)
    shares = split_shares(val, test)
    with own_folder(folder):
        with bar("compare", len(whole)) as advance:
            plan = plan_split(whole, shares, seed, similar, advance)
        chosen = {name: subset(whole, indices) for name, indices in plan.parts.items()}
        with bar("write", len(whole)) as advance:
            done = write(chosen, folder, target, link, advance=advance)
    copies = [group for group in plan.groups if len(group) > 1]
    if copies:
        groups = plural(len(copies), "group")
        say(f"near-duplicates stay together: {plural(sum(map(len, copies)), 'image')}, {groups}")
    show_table(plan.table())
    for line in plan.missing_classes():
        warn(line)
    say(f"{target.title} → {folder}")
    raise typer.Exit(show_problems([*whole.problems, *plan.problems, *done.problems, *done.omissions]))
