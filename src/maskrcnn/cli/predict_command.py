"""`maskrcnn predict SOURCE…`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.console import say, show_report, warn
from maskrcnn.cli.options import Device, Model, Precision, Score, Size, Sources, Trust, output
from maskrcnn.cli.progress import bar
from maskrcnn.text import plural

if TYPE_CHECKING:
    from maskrcnn.prediction.image_predictor import ImagePredictor


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
    from maskrcnn.prediction.prediction_run import predict_to_folder

    def open_predictor() -> ImagePredictor:
        from maskrcnn.inference.loading import load

        predictor = load(model, device, precision, size=size, trust=trust)
        show_report(predictor.report)
        return predictor

    outcome = predict_to_folder(
        sources, open_predictor, folder, score=score, overlays=overlays, say=say, warn=warn, progress=bar
    )
    say(f"{plural(outcome.objects, 'object')} in {plural(outcome.images, 'image')} → {folder}")
    raise typer.Exit(outcome.exit_code)
