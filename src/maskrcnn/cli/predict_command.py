"""`maskrcnn predict SOURCE…`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.console import say
from maskrcnn.cli.options import Device, Model, Precision, Score, Size, Sources, Trust, output
from maskrcnn.cli.progress import TerminalDisplay
from maskrcnn.text import plural


def predict(
    sources: Sources,
    model: Model = "nuclei",
    folder: Annotated[Path, output("Where overlays and predictions.json go.")] = Path("out"),
    score: Score = 0.5,
    device: Device = "auto",
    precision: Precision = "auto",
    size: Size = None,
    trust: Trust = False,
    overlays: Annotated[bool, typer.Option(help="Draw the objects over each image.")] = True,
) -> None:
    """Find the objects in images.

    Writes an overlay of each image as a PNG, and all objects to one predictions.json.
    """
    from maskrcnn.verbs.predict import predict as run

    found = run(
        sources,
        model,
        folder,
        score,
        device,
        precision,
        size,
        trust,
        overlays,
        keep=False,
        display=TerminalDisplay(),
    )
    say(f"{plural(found.objects, 'object')} in {plural(found.images, 'image')} → {folder}")
    raise typer.Exit(found.exit_code)
