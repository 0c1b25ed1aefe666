"""What a conversion of a checkpoint gave: the file, and which parameters matched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn.html_table import html_lines, html_table
from maskrcnn.text import plural
from maskrcnn.weights.load_report import LoadReport

PARTS = ("backbone", "fpn", "rpn", "box_head", "mask_head")


@dataclass(frozen=True, repr=False)
class ConvertedCheckpoint:
    """A checkpoint of ours that was made of another.

    Attributes:
        file: what was written.
        names: of its classes.
        parameters: of the model, by name.
        report: how each was found.
    """

    file: Path
    names: tuple[str, ...]
    parameters: Sequence[str]
    report: LoadReport

    def rows(self) -> Iterator[tuple[object, ...]]:
        """A head and a row for each part of the model: how many parameters were in the file; and how many not used."""
        missing = {key for key, _ in self.report.reinitialised}
        yield ("part", "matched", "not in the file")
        for part in PARTS:
            of_part = [key for key in self.parameters if key.startswith(f"{part}.")]
            lacking = sum(key in missing for key in of_part)
            yield (part.replace("_", " "), len(of_part) - lacking, lacking)
        yield ("of the file, not used", len(self.report.unused), "")

    def headline(self) -> str:
        """The number of classes and the file."""
        return f"{plural(len(self.names), 'class')} → {self.file}"

    def __repr__(self) -> str:
        return f"ConvertedCheckpoint({self.headline()})"

    def __str__(self) -> str:
        return "\n".join([*self.report.lines(), self.headline()])

    def _repr_html_(self) -> str:
        return f"<div>{html_table(self.rows())}{html_lines([*self.report.lines(), self.headline()])}</div>"
