"""What verbs share: where text goes, exit codes, and the table of metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from maskrcnn.evaluate.evaluator import Evaluation
    from maskrcnn.weights.load import Report

out = Console(soft_wrap=True)
errors = Console(stderr=True, soft_wrap=True)

SOME_SKIPPED = 1
ALL_FAILED = 2


def warn(line: str) -> None:
    """One line on what was skipped or changed."""
    errors.print(f"[yellow]note[/] {escape(line)}", highlight=False)


def show_report(report: Report | None) -> None:
    """How weights were loaded."""
    for line in report.lines() if report else ():
        out.print(escape(line), highlight=False)


def metrics_table(evaluation: Evaluation, title: str) -> Table:
    """AP of boxes, masks and, where it was measured, of their boundaries, a row each."""
    table = Table(title=title, title_justify="left")
    columns = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR")
    table.add_column("")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for kind in ("box", "mask", "boundary"):
        if f"{kind}_AP" in evaluation.metrics:
            values = (evaluation.metrics.get(f"{kind}_{column}", math.nan) for column in columns)
            table.add_row(kind, *map(_number, values))
    return table


def class_table(evaluation: Evaluation, limit: int = 20) -> Table:
    """AP of each class, at most `limit` rows: those with most objects."""
    rows = sorted(evaluation.per_class.items(), key=lambda item: -item[1]["objects"])
    more = f", the {limit} with most objects; all are in the report" if len(rows) > limit else ""
    table = Table(title=f"{len(rows)} classes{more}", title_justify="left")
    columns = {"objects": "objects", "mask_AP": "mask AP", "box_AP": "box AP", "best_threshold": "best score"}
    table.add_column("class")
    for heading in columns.values():
        table.add_column(heading, justify="right")
    for name, values in rows[:limit]:
        table.add_row(escape(name), *(_number(values[key], _DECIMALS.get(key, 1)) for key in columns))
    return table


_DECIMALS = {"objects": 0, "best_threshold": 2}


def _number(value: float, decimals: int = 1) -> str:
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"
