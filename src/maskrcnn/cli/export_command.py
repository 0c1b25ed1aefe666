"""`maskrcnn export MODEL --format F --out FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import offer
from maskrcnn.cli.console import paragraph, say, show_table, warn
from maskrcnn.cli.options import MaxDetections, TrainedModel, output
from maskrcnn.cli.progress import TerminalDisplay
from maskrcnn.errors import ALL_FAILED
from maskrcnn.exporting.export_formats import FORMATS, PRECISIONS

_FORMATS = "; ".join(
    f"{one.name}: {one.description} ({one.suffix}, {', '.join(one.precisions)})" for one in FORMATS.values()
)


def export(
    model: TrainedModel,
    file: Annotated[Path, output("The file to write.")],
    format: Annotated[str, typer.Option(help=f"{_FORMATS}.", autocompletion=offer(FORMATS))] = "onnx",
    precision: Annotated[
        str,
        typer.Option(help=f"{', '.join(PRECISIONS)}, where the format has it.", autocompletion=offer(PRECISIONS)),
    ] = "fp32",
    calibrate: Annotated[
        Path | None, typer.Option(help="Folder of images like those the model will see; int8 is calibrated on them.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled data: also measure AP before and after, on its val split.")
    ] = None,
    max_detections: MaxDetections = None,
    force: Annotated[bool, typer.Option("--force", help="Keep a file whose results differ from the model's.")] = False,
) -> None:
    """Export a model for another runtime, and check it there.

    The file is run in its own runtime, and its results are compared with those of the model it came from.
    """
    from maskrcnn.exporting.export_result import ExportDiffersError
    from maskrcnn.verbs.export import export as run

    try:
        result = run(model, file, format, precision, calibrate, data, max_detections, force, display=TerminalDisplay())
        refused = False
    except ExportDiffersError as error:
        result, refused = error.result, True
    if result.trial.rows:
        show_table(result.rows(), result.title, compact=True)
        paragraph(result.explanation(), indent=0)
    for line in result.metric_lines():
        say(line)
    for problem in result.trial.problems:
        warn(problem, "differs", "red")
    if refused:
        warn("nothing is kept; --force keeps a file that differs")
        raise typer.Exit(ALL_FAILED)
    for line in result.files_lines():
        say(line)
