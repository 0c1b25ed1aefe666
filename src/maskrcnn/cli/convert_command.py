"""`maskrcnn convert SRC DST`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.console import say, show_report, show_table
from maskrcnn.cli.progress import TerminalDisplay


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A name, or a checkpoint of detectron2, mmdetection, torchvision.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The .safetensors to write.")],
    names: Annotated[
        str | None, typer.Option(help="Class names in the order of the outputs: a,b,c. No background.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="detectron2's yaml of the run, or a yaml of model settings that the file lacks.")
    ] = None,
) -> None:
    """Convert a checkpoint of another library to maskrcnn's format.

    Reports which parameters matched, which did not, and what was assumed.
    """
    from maskrcnn.verbs.convert import convert as run

    done = run(source, target, names, config, display=TerminalDisplay())
    show_table(done.rows(), "parameters", totals=1)
    show_report(done.report)
    say(done.headline())
