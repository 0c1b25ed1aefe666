"""A benchmark's result: rows of a table, advice, and plain data for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maskrcnn.benchmarking.agreement import SAME_OBJECT
from maskrcnn.benchmarking.speed import SpeedComparison
from maskrcnn.benchmarking.speed_advice import Advice
from maskrcnn.html_table import escaped, html_lines, html_table
from maskrcnn.text import plural

EXPLANATION = (
    "Time: from decoded pixels to objects. Agree: of the objects that the first row, the exact form, finds, the "
    f"share that is found too, by class and a mask of IoU {SAME_OBJECT:g} or more; -lost, +new."
)


@dataclass(frozen=True, repr=False)
class SpeedReport:
    """How fast a model is on this machine, and which setting to choose.

    Attributes:
        model: as it was called.
        machine: what it was measured on.
        score: from which objects counted.
        comparison: the figures.
        advice: what to choose.
        left_out: variants that were not measured, and why.
        notes: what was skipped or limits the figures, one line each.
        skipped: number of sources that could not be used.
    """

    model: str
    machine: str
    score: float
    comparison: SpeedComparison
    advice: Advice
    left_out: list[str]
    notes: list[str]
    skipped: int = 0

    @property
    def title(self) -> str:
        """What was measured how often."""
        images, turns = plural(self.comparison.images, "image"), plural(self.comparison.turns, "turn")
        return f"{self.model} on {images}, objects from score {self.score:g}, median of {turns}"

    def advice_lines(self) -> list[str]:
        """What to choose, and how to use it."""
        lines, advice = [f"→ {self.advice.choice}"], self.advice
        if advice.size is not None:
            edge = advice.size.short[0]
            lines.append(f"→ {advice.sizes}")
            lines.append(f"  to use it: maskrcnn predict --size {edge} (evaluate too; in Python size={edge})")
        return lines

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        content = {"model": self.model, "machine": self.machine, "score": self.score}
        return content | to_json(self.comparison, self.advice) | {"left_out": self.left_out}

    def __repr__(self) -> str:
        return f"SpeedReport({self.title}: {self.advice.choice})"

    def __str__(self) -> str:
        rows = [[str(cell) for cell in row] for row in table_rows(self.comparison)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([self.machine, self.title, *table, *self.advice_lines(), *self.notes])

    def _repr_html_(self) -> str:
        head = f"<div>{escaped(self.machine)}</div><div>{escaped(self.title)}</div>"
        table = html_table(table_rows(self.comparison), words=2)
        explained = f'<div style="max-width:60em">{escaped(EXPLANATION)}</div>'
        return f"<div>{head}{table}{explained}{html_lines([*self.advice_lines(), *self.notes])}</div>"


def table_rows(comparison: SpeedComparison) -> Iterator[tuple[object, ...]]:
    """A head and a row a variant; batch sizes only if they differ."""
    batches = len({row.variant.batch for row in comparison.rows}) > 1
    yield ("precision", "shortest edge", *["batch"] * batches, "ms/image", "images/s", "speed", "objects", "agree")
    for row in comparison.rows:
        variant, found = row.variant, row.agreement
        yield (
            variant.precision,
            f"{variant.size} (own)" if variant.own else variant.size,
            *[variant.batch] * batches,
            f"{row.seconds * 1000:.1f}",
            f"{1 / row.seconds:.2f}" if row.seconds > 0.1 else f"{1 / row.seconds:.1f}",
            row.times(comparison.rows[0].seconds),
            f"{row.objects} (-{found.lost} +{found.added})",
            row.percent,
        )


def to_json(comparison: SpeedComparison, advice: Advice) -> dict[str, Any]:
    """The measurement and the advice as plain data."""
    return {
        "images": comparison.images,
        "turns": comparison.turns,
        "rows": [
            {
                **dataclasses.asdict(row.variant),
                "ms_per_image": row.seconds * 1000,
                "images_per_second": 1 / row.seconds,
                "times_exact": comparison.rows[0].seconds / row.seconds,
                "objects": row.objects,
                "agreement": row.agreement.share,
                **dataclasses.asdict(row.agreement),
            }
            for row in comparison.rows
        ],
        "advice": dataclasses.asdict(advice),
    }
