"""Tables of what an evaluation measured, for `evaluate` and for `train`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from maskrcnn.cli.console import show_table
from maskrcnn.text import plural

if TYPE_CHECKING:
    from maskrcnn.evaluation.evaluation import Evaluation

_COLUMNS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR")
_MOST_CLASSES = 20


def show_metrics(evaluation: Evaluation, title: str) -> None:
    """AP of boxes, masks and, where it was measured, of their boundaries, a row each."""
    rows = [("", *(column.replace("_", " ") for column in _COLUMNS)), *_metric_rows(evaluation.metrics)]
    if evaluation.unknown:
        rows += _metric_rows(evaluation.known_metrics, " known")
        title += "; known: over the classes that the model knows"
    show_table(rows, title)


def show_class_metrics(evaluation: Evaluation) -> None:
    """AP of each class; of many classes those with most objects."""
    found = sorted(evaluation.per_class.items(), key=lambda item: -item[1]["objects"])
    rows: list[tuple[str, ...]] = [("class", "objects", "mask AP", "box AP", "best score")]
    for name, values in found[:_MOST_CLASSES]:
        numbers = (values["mask_AP"], values["box_AP"])
        rows.append((name, f"{values['objects']:.0f}", *map(_number, numbers), _number(values["best_threshold"], 2)))
    more = f", the {_MOST_CLASSES} with most objects; all are in the report" if len(found) > _MOST_CLASSES else ""
    show_table(rows, f"{plural(len(found), 'class')}{more}")


def _metric_rows(metrics: Mapping[str, float], suffix: str = "") -> list[tuple[str, ...]]:
    return [
        (f"{kind}{suffix}", *(_number(metrics.get(f"{kind}_{column}", math.nan)) for column in _COLUMNS))
        for kind in ("box", "mask", "boundary")
        if f"{kind}_AP" in metrics
    ]


def _number(value: float, decimals: int = 1) -> str:
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"
