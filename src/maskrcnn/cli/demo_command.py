"""`maskrcnn demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.console import paragraph, say, warn
from maskrcnn.cli.options import Device, output
from maskrcnn.errors import ALL_FAILED, SOME_SKIPPED, MaskRCNNError


def demo(folder: Annotated[Path, output("Where the pictures go.")] = Path("demo-out"), device: Device = "auto") -> None:
    """Try the bundled models on real photos; nothing is downloaded."""
    import skimage.data

    from maskrcnn.benchmarking.benchmark_images import grace_hopper, nuclear_stain
    from maskrcnn.inference.loading import load
    from maskrcnn.results.prediction_writer import PredictionWriter

    section = skimage.data.immunohistochemistry()
    photos = [
        ("people", "astronaut", skimage.data.astronaut(), None),
        ("people", "grace-hopper", grace_hopper(), None),
        ("nuclei", "section", section, None),
        ("nuclei", "section-nuclear-stain", nuclear_stain(section), section),
    ]
    scores = {"people": 0.5, "nuclei": 0.4}
    skipped = 0
    with PredictionWriter(folder) as writer:
        for line in writer.notes:
            warn(line)
        predictors = {name: load(name, device) for name in scores}
        for model, name, photo, background in photos:
            result = predictors[model].predict(photo, score=scores[model])
            if background is not None:
                result.image = background
            try:
                picture = writer.add(f"{name}.png", name, result)
            except MaskRCNNError as error:
                warn(f"skipped {error}")
                skipped += 1
                continue
            say(f"{model}: {len(result)} in {name} → {picture}")
    paragraph(
        "The section is tissue in which brown marks a protein and blue (haematoxylin) the nuclei; its second view "
        "shows the model the blue stain alone, as a pathologist's software would.",
        indent=0,
    )
    if skipped:
        raise typer.Exit(SOME_SKIPPED if skipped < len(photos) else ALL_FAILED)
