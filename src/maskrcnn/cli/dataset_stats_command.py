"""`maskrcnn dataset stats DATA`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import model_names, preset_names
from maskrcnn.cli.console import say, show_problems, show_table
from maskrcnn.cli.options import Data, Split, output
from maskrcnn.cli.progress import TerminalDisplay


def dataset_stats(
    data: Data,
    folder: Annotated[Path | None, output("Also write plots, an HTML page, JSON and a recipe here.")] = None,
    split: Split = None,
    preset: Annotated[
        str, typer.Option(help="Preset that the suggestions start from.", autocompletion=preset_names)
    ] = "lite",
    init: Annotated[
        str | None,
        typer.Option(help="Trained model to start from instead of a preset.", autocompletion=model_names),
    ] = None,
) -> None:
    """Count and measure the objects.

    Suggests input size, anchors, limits and the training canvas.
    """
    from maskrcnn.verbs.dataset_stats import dataset_stats as run

    report = run(data, folder, split, preset, init, display=TerminalDisplay())
    say(report.headline())
    show_table(report.quantile_rows())
    if len(report.survey.names) > 1:
        show_table(report.class_rows())
    if report.suggestions:
        rows = list(report.suggestion_rows())
        show_table(rows, words=len(rows[0]))
        say(report.command())
    else:
        say("There are no objects to derive settings from.")
    for path in report.files:
        say(f"→ {path}")
    raise typer.Exit(show_problems(report.problems))
