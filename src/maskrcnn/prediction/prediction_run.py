"""From files, folders and addresses to a folder of results: what the command line does with torch and without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.prefetch import beside
from maskrcnn.images.sources import ImageSource, resolve_sources
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.results.prediction_writer import PredictionWriter
from maskrcnn.results.predictions import Predictions
from maskrcnn.results.result import Result
from maskrcnn.text import plural

Say = Callable[[str], None]
Progress = Callable[[str, int], AbstractContextManager[Callable[[], object]]]
RESULTS_WAITING = 2  # to be drawn and written, while the network works on the next images


def resolve_images(sources: Sequence[str | Path], purpose: str, warn: Say) -> tuple[list[ImageSource], int]:
    """The images of the sources, and the number of sources that gave none; problems and notes go to ``warn``.

    Args:
        purpose: what the images are for, as the end of "no image to ...".

    Raises:
        MaskRCNNError: there is no image.
    """
    found = resolve_sources(sources)
    for line in (*map(str, found.problems), *found.notes):
        warn(line)
    if not found.images:
        raise MaskRCNNError(f"no image to {purpose}", fix="name image files or folders that hold some")
    return found.images, len(found.problems)


def predict_to_folder(
    sources: Sequence[str | Path],
    open_predictor: Callable[[], ImagePredictor],
    folder: str | Path | None,
    *,
    score: float = 0.5,
    overlays: bool = True,
    say: Say,
    warn: Say,
    progress: Progress = lambda what, total: nullcontext(lambda: None),
    keep: bool = False,
) -> Predictions:
    """Segment the images of the sources and write an overlay of each and one predictions.json.

    An image that cannot be read, or whose overlay cannot be written, is skipped with a warning; the others are
    unaffected. Results are drawn and written in a thread beside the network, in order.

    Args:
        sources: files, folders, patterns or addresses.
        open_predictor: called once the sources are found and the folder can be written to.
        folder: see `PredictionWriter`; None to write nothing.
        score: lowest score of an object.
        overlays: draw each result.
        say: takes a line for each image that is done.
        warn: takes a line for each problem and note.
        progress: (what, number of images) → context that gives a function to call after each image.
        keep: return the results too, and not only their numbers.

    Returns:
        The numbers of images and objects, of sources that were skipped, and the lines that ``warn`` took as notes.

    Raises:
        MaskRCNNError: there is no image, the folder cannot be written to, or the model cannot be opened.
    """
    found = Predictions()

    def note(line: str) -> None:
        found.notes.append(line)
        warn(line)

    images, found.skipped = resolve_images(sources, "segment", note)
    with nullcontext() if folder is None else PredictionWriter(folder, overlays=overlays) as writer:
        for line in writer.notes if writer else ():
            note(line)
        predictor = open_predictor()

        def write(predicted: tuple[ImageSource, Result | MaskRCNNError]) -> tuple[ImageSource, Result]:
            source, result = predicted
            if isinstance(result, MaskRCNNError):
                raise result
            if writer:
                writer.add(source.name, source.stem, result)
            return source, result

        results = predictor.stream((source.path_or_url for source in images), score)
        # Closed before the writer: what the network has found is written, whatever ends the loop.
        written = closing(beside(zip(images, results, strict=True), write, RESULTS_WAITING))
        with progress("segment", len(images)) as advance, written as all_done:
            for done in all_done:
                advance()
                if isinstance(done, MaskRCNNError):
                    note(f"skipped {done}")
                    found.skipped += 1
                    continue
                source, result = done
                for line in result.notes:
                    note(f"{source.name}: {line}")
                say(f"{source.name}: {plural(len(result), 'object')}")
                (found.add if keep else found.tally)(result)
    return found
