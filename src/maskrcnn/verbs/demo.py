"""`maskrcnn.demo`: the bundled models on real photos."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.errors import MaskRCNNError
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.results.predictions import Predictions

STAINS = (
    "The section is tissue in which brown marks a protein and blue (haematoxylin) the nuclei; its second view "
    "shows the model the blue stain alone, as a pathologist's software would."
)


def demo(
    folder: str | Path | None = None, device: str = "auto", *, display: bool | VerbDisplay | None = None
) -> Predictions:
    """Try the bundled models on real photos, which come with Python packages; as `maskrcnn demo`.

    Args:
        folder: write the pictures here; nothing is written unless given.
        device: "auto", "cpu", "cuda" or "mps".
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    Raises:
        MaskRCNNError: the folder cannot be written to.
    """
    import skimage.data

    from maskrcnn.benchmarking.benchmark_images import grace_hopper, nuclear_stain
    from maskrcnn.inference.loading import load
    from maskrcnn.results.prediction_writer import PredictionWriter
    from maskrcnn.results.predictions import Predictions

    section = skimage.data.immunohistochemistry()
    photos = [
        ("people", "astronaut", skimage.data.astronaut(), None),
        ("people", "grace-hopper", grace_hopper(), None),
        ("nuclei", "section", section, None),
        ("nuclei", "section-nuclear-stain", nuclear_stain(section), section),
    ]
    scores = {"people": 0.5, "nuclei": 0.4}
    found = Predictions()
    with shown_on(display) as shown, nullcontext() if folder is None else PredictionWriter(folder) as writer:
        for line in writer.notes if writer else ():
            shown.note(line)
        predictors = {name: load(name, device) for name in scores}
        for model, name, photo, background in photos:
            result = predictors[model].predict(photo, score=scores[model])
            if background is not None:
                result.image = background
            try:
                place = f" → {writer.add(f'{name}.png', name, result)}" if writer else ""
            except MaskRCNNError as error:
                found.notes.append(f"skipped {error}")
                shown.note(found.notes[-1])
                found.skipped += 1
                continue
            shown.say(f"{model}: {len(result)} in {name}{place}")
            found.add(result, f"{name}, {model}")
    return found
