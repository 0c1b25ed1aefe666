"""`maskrcnn evaluate DATA --model M`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from maskrcnn.cli.console import SOME_SKIPPED, metrics_table, out, warn


def evaluate(
    data: Annotated[
        Path, typer.Argument(help="Folder (or .json, .yaml) with images and masks; its format is detected.")
    ],
    model: Annotated[str, typer.Option(help="Bundled or catalog name, or a checkpoint.")],
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "val",
    max_detections: Annotated[
        int | None, typer.Option(help="Objects an image that count (maxDets); the model's own limit unless given.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write the numbers to this file.")] = None,
) -> None:
    """Measure a model on labelled images: COCO box and mask AP."""
    from maskrcnn.data.dataset import has_split, open_dataset
    from maskrcnn.evaluate.evaluator import evaluate as run
    from maskrcnn.predict.predictor import load

    predictor = load(model, device, precision)
    dataset = open_dataset(data, split if has_split(data, split) else None)
    with Progress(console=out, transient=True) as progress:
        task = progress.add_task("evaluate", total=len(dataset))
        evaluation = run(predictor, dataset, max_detections, lambda: progress.advance(task))
    problems = [*dataset.problems, *evaluation.problems]
    for problem in problems:
        warn(str(problem))
    out.print(
        metrics_table(evaluation, f"{evaluation.images} images, at most {evaluation.max_detections} objects each")
    )
    if json_out:
        content = {
            "model": model,
            "data": str(data),
            "split": split,
            "images": evaluation.images,
            "max_detections": evaluation.max_detections,
            "metrics": evaluation.metrics,
            "per_class_mask_AP": evaluation.per_class,
        }
        json_out.write_text(json.dumps(content, indent=2))
    if dataset.skipped or dataset.dropped or evaluation.problems:
        raise typer.Exit(SOME_SKIPPED)
