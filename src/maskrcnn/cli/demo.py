"""`maskrcnn demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.console import out

if TYPE_CHECKING:
    import numpy as np


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where the pictures go.")] = Path("demo-out"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Segment real photos with the bundled models; nothing is downloaded."""
    import skimage.data

    from maskrcnn.predict.predictor import load
    from maskrcnn.predict.writers import PredictionWriter

    predictor = load("nuclei", device)
    section = skimage.data.immunohistochemistry()
    views = {"section": section, "section-nuclear-stain": nuclear_stain(section)}
    out.print("A tissue section: brown marks a protein, blue (haematoxylin) the nuclei.")
    with PredictionWriter(folder) as writer:
        for name, pixels in views.items():
            result = predictor.predict(pixels, score=0.4)
            result.image = section
            picture = writer.add(f"{name}.png", name, result)
            out.print(f"{name}: {len(result)} {', '.join(predictor.names)} → {picture}", highlight=False)
    out.print("The second view shows the model the blue stain alone, as a pathologist's software would.")


def nuclear_stain(section: np.ndarray) -> np.ndarray:
    """How much haematoxylin, the stain of nuclei, each pixel of an RGB section holds: uint8 [H, W], nuclei bright."""
    import numpy as np
    from skimage.color import rgb2hed

    amount = rgb2hed(section)[..., 0]
    low, high = np.percentile(amount, (1, 99.5))
    return (np.clip((amount - low) / (high - low), 0, 1) * 255).astype(np.uint8)
