"""`maskrcnn dataset stats DATA`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import model_names, preset_names
from maskrcnn.cli.console import say, show_problems, show_table
from maskrcnn.cli.options import Data, Split, output
from maskrcnn.cli.output_claim import own_folder
from maskrcnn.cli.progress import bar


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
    from maskrcnn.config import preset as preset_named
    from maskrcnn.datasets.open_dataset import Source
    from maskrcnn.datasets.survey.survey import survey_dataset
    from maskrcnn.datasets.survey.survey_report import SurveyReport
    from maskrcnn.training.recipe import Recipe
    from maskrcnn.weights.any_checkpoint import read_any_checkpoint

    config = read_any_checkpoint(init)[0].config if init else preset_named(preset)
    _, dataset = Source(data).open_or_default(split, "train")
    with own_folder(folder):
        with bar("measure", len(dataset)) as advance:
            surveyed = survey_dataset(dataset, advance)
        start = ("init", init) if init else ("preset", preset)
        report = SurveyReport(str(data), surveyed, config, start, Recipe.model_fields["canvas"].default)
        files = report.write(folder) if folder else ()
    say(report.headline())
    show_table(report.quantile_rows())
    if len(dataset.names) > 1:
        show_table(report.class_rows())
    if report.suggestions:
        rows = list(report.suggestion_rows())
        show_table(rows, words=len(rows[0]))
        say(report.command())
    else:
        say("There are no objects to derive settings from.")
    for path in files:
        say(f"→ {path}")
    raise typer.Exit(show_problems([*dataset.problems, *surveyed.problems]))
