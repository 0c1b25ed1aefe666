"""`maskrcnn.predict`: the objects in images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.prediction.image_predictor import ImagePredictor
    from maskrcnn.results.predictions import Predictions


def predict(
    sources: str | Path | Sequence[str | Path],
    model: str | Path = "nuclei",
    folder: str | Path | None = None,
    score: float = 0.5,
    device: str = "auto",
    precision: str = "auto",
    size: int | None = None,
    trust: bool = False,
    overlays: bool = True,
    *,
    keep: bool = True,
    display: bool | VerbDisplay | None = None,
) -> Predictions:
    """Find the objects in images; as `maskrcnn predict`.

        predictions = maskrcnn.predict("photos", model="people")
        predictions[0].save("first.png")

    To predict again and again, or from arrays, `maskrcnn.load` a model once and call its `predict`.

    Args:
        sources: images: files, folders, patterns or URLs; one or a list.
        model: a name (see `maskrcnn.models()`), a checkpoint, or an exported model.
        folder: write an overlay of each image and all objects, predictions.json, here; nothing is written unless given.
        score: leave out objects below this score.
        device, precision, size, trust: as of `maskrcnn.load`.
        overlays: draw the objects over each image, where a folder is given.
        keep: hold the results in memory; without, only their numbers are returned.
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    An image that cannot be read is skipped, and named in the notes of what is returned.

    Raises:
        MaskRCNNError: there is no image, the folder cannot be written to, or the model cannot be opened.
    """
    from maskrcnn.prediction.prediction_run import predict_to_folder

    with shown_on(display) as shown:

        def open_predictor() -> ImagePredictor:
            from maskrcnn.inference.loading import load

            predictor = load(model, device, precision, size=size, trust=trust)
            for line in predictor.report.lines() if predictor.report else ():
                shown.say(line)
            return predictor

        return predict_to_folder(
            [sources] if isinstance(sources, str | Path) else sources,
            open_predictor,
            folder,
            score=score,
            overlays=overlays,
            say=shown.say,
            warn=shown.note,
            progress=shown.bar,
            keep=keep,
        )
