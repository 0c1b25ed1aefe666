"""`maskrcnn evaluate DATA --model M`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.completion import split_names
from maskrcnn.cli.console import deliver_json, say, show_problems
from maskrcnn.cli.metrics_tables import show_class_metrics, show_metrics, show_next_steps
from maskrcnn.cli.options import Data, Device, JsonFile, MaxDetections, Model, Precision, Size, Trust, output
from maskrcnn.cli.progress import TerminalDisplay
from maskrcnn.text import plural
from maskrcnn.verbs.claimed_output import own_file


def evaluate(
    data: Data,
    model: Model,
    folder: Annotated[Path, output("Where report.html and metrics.json go.")] = Path("runs/evaluate"),
    split: Annotated[
        str | None,
        typer.Option(
            help="Which part of the data; val unless given, or all of data without a val split.",
            autocompletion=split_names,
        ),
    ] = None,
    max_detections: MaxDetections = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst images the report shows.")] = 8,
    device: Device = "auto",
    precision: Precision = "auto",
    size: Size = None,
    trust: Trust = False,
    json_out: JsonFile = None,
) -> None:
    """Measure a model on labelled images.

    Writes a report on what goes wrong and what to do about it.
    """
    from maskrcnn.verbs.evaluate import evaluate as run

    with own_file(json_out, TerminalDisplay()):
        evaluation = run(
            model,
            data,
            max_detections,
            folder=folder,
            split=split,
            worst=worst,
            device=device,
            precision=precision,
            size=size,
            trust=trust,
            display=TerminalDisplay(),
        )
        code = show_problems(evaluation.all_problems)
        if json_out != "-":
            most = plural(evaluation.max_detections, "object")
            certainty = f"; {evaluation.certainty()}" if evaluation.interval else ""
            show_metrics(evaluation, f"{plural(evaluation.images, 'image')}, at most {most} each{certainty}")
            if len(evaluation.per_class) > 1:
                show_class_metrics(evaluation)
            show_next_steps(evaluation.next_steps)
            say(f"report → {evaluation.report}")
        deliver_json({"model": model, "data": str(data), "split": evaluation.split, **evaluation.to_json()}, json_out)
    raise typer.Exit(code)
