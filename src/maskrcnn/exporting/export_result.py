"""What an export gave: its files, and how its results compare with those of the model in PyTorch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.exporting.export_formats import ExportFormat
from maskrcnn.exporting.parity import TOLERANCES
from maskrcnn.exporting.parity_run import Trial
from maskrcnn.html_table import escaped, html_lines, html_table


@dataclass(frozen=True, repr=False)
class ExportResult:
    """An exported model.

    Attributes:
        file: what `maskrcnn.load` takes.
        format: of the file.
        precision: it computes in.
        trial: the comparison with the model.
    """

    file: Path
    format: ExportFormat
    precision: str
    trial: Trial

    @property
    def title(self) -> str:
        """What was compared."""
        return f"{self.format.name} {self.precision} beside the model in PyTorch, fp32"

    def rows(self) -> Iterator[tuple[object, ...]]:
        """A head and a row for each scene."""
        tolerance = TOLERANCES[self.precision]
        yield ("input", "size", "objects", "lost", "new", "box px", "score", "mask", "ms", "torch")
        for row in self.trial.rows:
            size, parts = f"{row.size[0]}x{row.size[1]}", [_rounded(tolerance.of(part)) for part in row.seen.parts]
            milliseconds = [f"{seconds * 1e3:.0f}" for seconds in (row.seconds[1], row.seconds[0])]
            yield (row.what, size, row.objects, row.seen.lost, row.seen.added, *parts, *milliseconds)

    def explanation(self) -> str:
        """What the columns mean, and which differences are allowed."""
        tolerance = TOLERANCES[self.precision]
        judged = f" at a score of {tolerance.min_score:g} or more" if tolerance.min_score else ""
        return (
            f"box, score, mask: {tolerance.share:.0%} of the objects that both find{judged} differ by no more. "
            f"Allowed: {tolerance.box:g} px, {tolerance.score:g} of score, {tolerance.mask:g} of mask probability, "
            f"{1 - tolerance.found:.0%} of objects lost. ms: median of one image, the artifact's and PyTorch's. "
            f"{self.trial.megabytes:.1f} MB."
        )

    def metric_lines(self) -> list[str]:
        """AP before and after, where it was measured."""
        return [
            f"{name.replace('_', ' ')} {before:.1f} → {after:.1f} ({after - before:+.1f})"
            for name, (before, after) in self.trial.metrics.items()
        ]

    def files_lines(self) -> list[str]:
        """The files, which dimensions of the input may vary, and how to use them where that is special."""
        files = ", ".join(map(str, self.format.files(self.file)))
        usage = [self.format.usage.format(shlex.quote(str(self.file)))] if self.format.usage else []
        return [f"{files}: {self.format.dynamic} may vary", *usage]

    def lines(self) -> list[str]:
        """All of it but the table, a fact a line."""
        differs = [f"differs {problem}" for problem in self.trial.problems]
        return [*self.metric_lines(), *self.trial.notes, *differs, *self.files_lines()]

    def __repr__(self) -> str:
        return f"ExportResult({'; '.join(self.lines())})"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        table = html_table(self.rows()) if self.trial.rows else ""
        explained = f'<div style="max-width:60em">{escaped(self.explanation())}</div>'
        return f"<div><div>{escaped(self.title)}</div>{table}{explained}{html_lines(self.lines())}</div>"


class ExportDiffersError(MaskRCNNError):
    """An artifact whose results differ from its model's, which was not kept; `result` tells how they do."""

    def __init__(self, result: ExportResult) -> None:
        self.result = result
        what = "its results differ from the model's, nothing is kept: " + "; ".join(result.trial.problems)
        super().__init__(what, where=result.file, fix="force keeps a file that differs")


def _rounded(difference: float) -> str:
    """A difference in at most five characters, so that the table fits into 80 columns: 0.18, 2e-4."""
    if not 0 < difference < 0.01:
        return f"{difference:.2g}"
    digits, _, exponent = f"{difference:.0e}".partition("e")
    return f"{digits}e{int(exponent)}"
