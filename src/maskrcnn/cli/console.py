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
    """Box and mask AP, a row each."""
    table = Table(title=title, title_justify="left")
    columns = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
    table.add_column("")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for kind in ("box", "mask"):
        values = (evaluation.metrics.get(f"{kind}_{column}", math.nan) for column in columns)
        table.add_row(kind, *("-" if math.isnan(value) else f"{value:.1f}" for value in values))
    return table
