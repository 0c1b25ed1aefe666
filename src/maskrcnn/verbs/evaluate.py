"""`maskrcnn.evaluate`: how good a model is on labelled images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from maskrcnn.argument_checks import check_range
from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.foreign_files import check_replaceable
from maskrcnn.verbs.claimed_output import own_folder
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.annotations.problem import Problem
    from maskrcnn.datasets.dataset import Dataset
    from maskrcnn.evaluation.evaluation import Evaluation
    from maskrcnn.prediction.image_predictor import ImagePredictor


def evaluate(
    model: ImagePredictor | str | Path,
    data: Dataset | str | Path,
    max_detections: int | None = None,
    advance: Callable[[], object] | None = None,
    analyse: bool = True,
    *,
    folder: str | Path | None = None,
    split: str | None = None,
    worst: int = 8,
    device: str = "auto",
    precision: str = "auto",
    size: int | None = None,
    trust: bool = False,
    display: bool | VerbDisplay | None = None,
) -> Evaluation:
    """COCO box and mask AP of a model on a labelled data set, and what to do next; as `maskrcnn evaluate`.

        evaluation = maskrcnn.evaluate("runs/train/best.safetensors", "balloon")
        evaluation.metrics["mask_AP"], evaluation.next_steps

    Args:
        model: a predictor, or what `maskrcnn.load` takes.
        data: a data set, or what `maskrcnn.open_dataset` takes.
        max_detections: objects an image that count, for the model and the metrics alike; by default the model's limit.
        advance: called after each image.
        analyse: also analyse the errors and recommend what to do about them: `analysis`, `findings` and `next_steps`.
        folder: write report.html and metrics.json here; nothing is written unless given.
        split: which part of the data; val unless given, or without one all of it, which `data_problems` says.
        worst: how many of the worst images the report shows.
        device, precision, size, trust: as of `maskrcnn.load`, where ``model`` is no predictor.
        display: where progress is shown. None: in a notebook, elsewhere nothing. True: elsewhere lines of text.

    Classes are matched by name; if model and data set have one class each, they are assumed to be the same.

    Raises:
        MaskRCNNError: no class in common, no image that could be measured, no such split, or the folder is in use or
            holds a report.html or metrics.json of another program.
    """
    check_range(worst, "worst", 0)
    if folder is not None and not analyse:
        raise MaskRCNNError("a report needs the analysis", fix="leave analyse out, or folder")
    with shown_on(display) as shown, own_folder(folder, shown):
        from maskrcnn.datasets.dataset import Dataset
        from maskrcnn.datasets.open_dataset import Source
        from maskrcnn.evaluation.dataset_predictor import DatasetPredictor
        from maskrcnn.evaluation.evaluator import evaluate as measure
        from maskrcnn.evaluation.report.report_files import FILES, KEYS, write_report
        from maskrcnn.evaluation.shared_images import train_split
        from maskrcnn.evaluation.subject import Subject, model_name
        from maskrcnn.inference.loading import load
        from maskrcnn.prediction.image_predictor import ImagePredictor

        if folder is not None:
            check_replaceable(folder, FILES, KEYS)
        if isinstance(model, ImagePredictor):
            if (device, precision, size, trust) != ("auto", "auto", None, False):
                what = "device, precision, size and trust are those of the predictor"
                raise MaskRCNNError(what, fix="give them to maskrcnn.load, or a model's name or path")
            predictor, name = model, ""
        else:
            predictor, name = load(model, device, precision, size=size, trust=trust), str(model)
        notes: list[Problem] = []
        if isinstance(data, Dataset):
            if split is not None:
                raise MaskRCNNError("split: an open data set is one split", fix="give the folder of the data")
            dataset, where, part, train, trainable = data, "", "", None, True
        else:
            source = Source(data)
            part, dataset = source.open_or_default(split, "val")
            train, trainable = None, source.has("train")
            if analyse:
                train, notes = train_split(source, part)
            where = str(data)
        subject = Subject(model_name(model), where or Subject.data, part, trainable, size, max_detections)
        with shown.bar("evaluate", len(dataset)) as bar:

            def step() -> None:
                bar()
                if advance is not None:
                    advance()

            evaluation = measure(predictor, dataset, max_detections, step, analyse, subject, train)
        evaluation.notes += notes
        evaluation.model, evaluation.data, evaluation.split = name, where, part
        if folder is not None:
            predictions = DatasetPredictor(predictor, dataset, max_detections)
            titles = (name or "a predictor", where or "an open data set")
            try:
                evaluation.report = write_report(folder, evaluation, predictions, *titles, part, worst)
            except MaskRCNNError as error:  # what was measured is not lost
                what = f"{error.what}; measured: {evaluation.headline()}"
                raise MaskRCNNError(what, where=error.where, fix=error.fix) from error
    return evaluation
