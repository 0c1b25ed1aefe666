"""`maskrcnn predict SOURCE…`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.bars import Bar
from maskrcnn.cli.console import ALL_FAILED, SOME_SKIPPED, say, show_report, warn
from maskrcnn.cli.options import Device, Model, Precision, Size, Sources, Trust
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskrcnn.images.sources import Source
    from maskrcnn.predict.image_predictor import ImagePredictor
    from maskrcnn.results.prediction_writer import PredictionWriter


def predict(
    sources: Sources,
    model: Model = "nuclei",
    folder: Annotated[Path, typer.Option("--out", help="Where overlays and predictions.json go.")] = Path("out"),
    score: Annotated[float, typer.Option(min=0, max=1, help="Leave out objects below this score.")] = 0.5,
    device: Device = "auto",
    precision: Precision = "auto",
    size: Size = None,
    trust: Trust = False,
    overlays: Annotated[bool, typer.Option(help="Draw the objects over each image.")] = True,
) -> None:
    """Find the objects in images.

    Writes an overlay of each image as a PNG, and all objects to one predictions.json.
    """
    from maskrcnn.images.sources import resolve_sources

    found = resolve_sources(sources)
    for line in (*found.problems, *found.notes):
        warn(line)
    if not found.images:
        raise MaskRCNNError("no image to segment", fix="name image files or folders that hold some")

    from maskrcnn.results.prediction_writer import PredictionWriter

    with PredictionWriter(folder, overlays=overlays) as writer:
        for line in writer.notes:
            warn(line)
        from maskrcnn.inference.predictor import load

        predictor = load(model, device, precision, size=size, trust=trust)
        show_report(predictor.report)
        skipped = run(predictor, found.images, writer, score) + len(found.problems)
    if skipped:
        done = len(found.images) + len(found.problems) - skipped
        raise typer.Exit(SOME_SKIPPED if done > 0 else ALL_FAILED)


def run(predictor: ImagePredictor, images: Sequence[Source], writer: PredictionWriter, score: float) -> int:
    """Segment the images one after another; how many had to be skipped."""
    skipped = objects = 0
    with Bar("segment", len(images)) as bar:
        results = predictor.stream((source.path_or_url for source in images), score)
        for source, result in zip(images, results, strict=True):
            bar.advance()
            try:
                if isinstance(result, MaskRCNNError):
                    raise result
                writer.add(source.name, source.stem, result)
            except MaskRCNNError as error:
                warn(f"skipped {error}")
                skipped += 1
                continue
            for note in result.notes:
                warn(f"{source.name}: {note}")
            objects += len(result)
            say(f"{source.name}: {plural(len(result), 'object')}")
    say(f"{plural(objects, 'object')} in {plural(len(images) - skipped, 'image')} → {writer.out_dir}")
    return skipped
