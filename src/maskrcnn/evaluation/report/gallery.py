"""The worst images, labels drawn beside detections, each object in the colour of its outcome."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from maskrcnn.datasets.survey.contact_sheet import scale_crop
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.analysis import Analysis
from maskrcnn.evaluation.dataset_predictor import DatasetPredictor
from maskrcnn.evaluation.error_types import KINDS, classify_errors
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.matching import match_detections
from maskrcnn.evaluation.tables import Kind, TableBuilder
from maskrcnn.masks.crop import EMPTY, Crop
from maskrcnn.results.overlay import FEW, RGB, draw_objects

RIGHT: RGB = (66, 190, 152)
NEARLY: RGB = (255, 178, 64)
WRONG: RGB = (255, 84, 104)
REGION: RGB = (176, 180, 190)
# The prefix of an object's name, and its colour: regions, objects that are found, nearly found, and missed.
_TRUTH_LOOKS = (("region: ", REGION), ("", RIGHT), ("", NEARLY), ("missed ", WRONG))
# The same for a wrong detection, by kind of error.
_LOOKS = {
    "class": ("", NEARLY),
    "location": ("loose ", NEARLY),
    "duplicate": ("double ", NEARLY),
    "both": ("false ", WRONG),
    "background": ("false ", WRONG),
}
_SIDE = 640


@dataclass(frozen=True)
class WorstImage:
    """One image: its name, size (H, W), what went wrong, and two pictures as data URIs."""

    name: str
    size: tuple[int, int]
    labelled: int
    counted: int
    found: int
    truth: str
    detections: str


def worst_images(analysis: Analysis, predictions: DatasetPredictor, limit: int) -> Iterator[WorstImage]:
    """The images with the lowest F1, the worst first. They are predicted once more, because pixels are not kept.

    An image that can no longer be read is left out.
    """
    counting, tables = analysis.counting, analysis.tables
    rows = counting.worst(limit).tolist()
    indices = [int(tables.images["index"][row]) for row in rows]
    for row, index, image in zip(rows, indices, predictions.stream(indices), strict=True):
        if isinstance(image, MaskRCNNError):
            continue
        numbers = int(counting.truth[row]), int(counting.counted[row]), int(counting.found[row])
        pictures = map(_data_uri, draw_pair(image, tables.names, analysis.threshold, tables.kind))
        yield WorstImage(predictions.dataset.records[index].path.name, image.size, *numbers, *pictures)


def draw_pair(
    image: EvaluatedImage, names: Sequence[str], threshold: float, kind: Kind
) -> tuple[Image.Image, Image.Image]:
    """The labels, and the detections from a score on, each over the image's picture.

    Correct ones are green. Poorly localised, misnamed and duplicate detections and their objects are amber, missed
    objects and false alarms red, regions and the detections in them grey.
    """
    shown = image.above(threshold)
    pixels = shown.picture
    assert pixels is not None
    builder = TableBuilder(names)
    builder.update(shown)
    tables = builder.tables()
    matches = match_detections(tables, kind)
    errors = classify_errors(tables, matches)
    nearly = np.isin(np.arange(len(matches.region)), errors.meant)
    truth = shown.truth
    outcomes = np.select([matches.region, matches.found, nearly], [0, 1, 2], 3).tolist()
    pairs = zip((_TRUTH_LOOKS[outcome] for outcome in outcomes), truth.labels, strict=True)
    looks = [(prefix + names[label], colour) for (prefix, colour), label in pairs]
    labelled = _draw(pixels, truth.crops, truth.boxes, looks, None)

    rows = zip(errors.kind.tolist(), matches.ignored.tolist(), shown.labels, errors.meant.tolist(), strict=True)
    looks = []
    for error, ignored, label, meant in rows:
        prefix, colour = ("", REGION) if ignored else ("", RIGHT) if error < 0 else _LOOKS[KINDS[error]]
        real = f", really {names[truth.labels[meant]]}" if error == KINDS.index("class") else ""
        looks.append((f"{prefix}{names[label]}{real}", colour))
    crops = [None] * len(looks) if shown.masks is None else shown.masks.crops
    return labelled, _draw(pixels, crops, shown.boxes, looks, shown.scores)


def _draw(
    pixels: np.ndarray,
    crops: Sequence[Crop | None],
    boxes: np.ndarray,
    looks: Sequence[tuple[str, RGB]],
    scores: np.ndarray | None,
) -> Image.Image:
    """The image with its longer side 640 pixels, objects drawn at that size: outlines and text stay readable.

    Correct objects are named only if there are few objects and more than one class.
    """
    words, colours = [text for text, _ in looks], [colour for _, colour in looks]
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    zoom = size[0] / width, size[1] / height
    image = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    small = [EMPTY if crop is None else scale_crop(crop, zoom, size) for crop in crops]
    frames = np.asarray(boxes, dtype=np.float32).reshape(-1, 4) * np.array([*zoom, *zoom], dtype=np.float32)
    picture = draw_objects(image, small, frames, words, scores, labels=False, opacity=0.3, colours=colours)
    named = [k for k, colour in enumerate(colours) if colour != RIGHT or (len(words) <= FEW and len(set(words)) > 1)]
    parts = [small[k] for k in named], frames[named], [words[k] for k in named]
    scores = None if scores is None else scores[named]
    return draw_objects(np.asarray(picture), *parts, scores, opacity=0, colours=[colours[k] for k in named])


def _data_uri(picture: Image.Image) -> str:
    """The picture as a JPEG in a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
