"""Writes report.html and metrics.json."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.dataset_predictor import DatasetPredictor
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.report.gallery import worst_images
from maskrcnn.evaluation.report.page import Page
from maskrcnn.output.atomic_file import make_folder, write_text
from maskrcnn.text import plural
from maskrcnn.version import VERSION

FILES = ("metrics.json", "report.html")
KEYS = ("model", "data", "split", "max_detections", "known_metrics")


def write_report(
    folder: str | Path,
    evaluation: Evaluation,
    predictions: DatasetPredictor,
    model: str,
    data: str,
    split: str = "",
    worst: int = 8,
) -> Path:
    """Write both files into `folder`, made if missing; the path of the HTML file.

    Args:
        evaluation: with its analysis.
        predictions: predicts the worst images once more.
        model, data, split: their names in the report.
        worst: how many images to show.

    Raises:
        MaskRCNNError: the folder cannot be written.
    """
    folder = Path(folder)
    analysis = evaluation.analysis
    if analysis is None:
        raise MaskRCNNError("expected an evaluation with its analysis", fix="call evaluate(…, analyse=True)")
    pairs = list(worst_images(analysis, predictions, worst))
    facts = (
        f"split {split}" if split else "",
        plural(evaluation.images, "image"),
        plural(int((~analysis.matches.region).sum()), "object"),
        plural(len(analysis.tables.names), "class"),
        f"compared by {analysis.tables.kind}",
        f"at most {evaluation.max_detections} detections an image",
        f"maskrcnn {VERSION}, {datetime.now():%Y-%m-%d}",
    )
    content = {"model": model, "data": data, "split": split, **evaluation.to_json()}
    metrics, report = (folder / name for name in FILES)
    make_folder(folder)
    write_text(metrics, json.dumps(content, indent=1, ensure_ascii=False))
    write_text(report, Page(f"{model} on {data}", " · ".join(filter(None, facts)), evaluation, pairs).html())
    return report
