"""`maskrcnn demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.console import ALL_FAILED, SOME_SKIPPED, out

# Photos that scikit-image's wheel carries, and the bundled model that knows what is on them.
PHOTOS = {"nuclei": ("ihc.png",)}


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where the pictures go.")] = Path("demo-out"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Segment real photos with the bundled models; nothing is downloaded."""
    import skimage

    from maskrcnn.cli.predict import run
    from maskrcnn.predict.predictor import load
    from maskrcnn.predict.sources import resolve_sources

    skipped = total = 0
    for model, photos in PHOTOS.items():
        predictor = load(model, device)
        out.print(f"[bold]{model}[/]: {', '.join(predictor.names)}")
        found = resolve_sources([Path(skimage.__file__).parent / "data" / photo for photo in photos])
        skipped += run(predictor, found.images, folder / model, score=0.5) + len(found.problems)
        total += len(photos)
    if skipped:
        raise typer.Exit(SOME_SKIPPED if skipped < total else ALL_FAILED)
