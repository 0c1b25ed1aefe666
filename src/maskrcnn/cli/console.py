"""Everything that the command line prints: lines, warnings, tables and JSON.

Text is never parsed as markup, and control or hidden characters are escaped (`maskrcnn.text.visible`). Failure to
print, because a pipe was closed or a disk is full, does not stop the work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import HEAVY_HEAD, SIMPLE
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from maskrcnn.annotations.problem import Problem
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.errors import SOME_SKIPPED, MaskRCNNError
from maskrcnn.output.atomic_file import write_text
from maskrcnn.text import discard_rest, visible

if TYPE_CHECKING:
    from maskrcnn.prediction.image_predictor import WeightReport


class _Terminal(Console):
    """Standard output or error; once it cannot be written to, it drops what is printed."""

    failure: OSError | None = None

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def show(self, content: RenderableType, *, wrap: bool = True, width: int | None = None) -> None:
        """Print; a line that does not wrap is left to the terminal."""
        try:
            self.print(content, soft_wrap=not wrap, width=width, crop=False)
        except OSError as error:
            self.fail(error)

    def fail(self, error: OSError) -> None:
        """Print nothing more; what is still in buffers is dropped."""
        self.failure = self.failure or error
        self.quiet = True
        discard_rest(sys.stderr if self.stderr else sys.stdout)

    def on_broken_pipe(self) -> None:
        self.fail(BrokenPipeError())


out = _Terminal()
errors = _Terminal(stderr=True)


def bold(text: str) -> Text:
    """A bold part of a line for `say`."""
    return styled(text, "bold")


def styled(text: str, style: str) -> Text:
    """A part of a line for `say`, in a colour or weight."""
    return Text(visible(text), style)


def say(*parts: str | Text) -> None:
    """One line of results on standard output."""
    out.show(_line(parts), wrap=False)


def warn(line: str, label: str = "note", style: str = "yellow") -> None:
    """One line on standard error about what was skipped, changed or went wrong."""
    errors.show(_line((styled(label, style), " ", line)), wrap=False)


def show_problems(problems: Iterable[Problem]) -> int:
    """Warn of each problem once; the exit code: 1 if images or objects were lost, else 0."""
    log = ProblemLog(problems)
    for problem in log:
        warn(str(problem))
    return SOME_SKIPPED if log.images_lost or log.objects_lost else 0


def fail(error: object) -> None:
    """The error that ends the command, in one line on standard error."""
    warn(str(error), "error", "red")


def paragraph(text: str, indent: int = 4) -> None:
    """Text wrapped to the width of the terminal."""
    out.show(Padding(Text(visible(text)), (0, 0, 0, indent)))


def silence() -> None:
    """Print no results: of several processes, only the first does."""
    out.quiet = True


def closing(code: int) -> int:
    """Flush standard output; the exit code, 1 instead of 0 if results could not be written, with an error line.

    A pipe that its reader has closed is no error.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        out.fail(error)
    if out.failure is None or isinstance(out.failure, BrokenPipeError):
        return code
    fail(f"cannot write to standard output: {out.failure.strerror}")
    return code or SOME_SKIPPED


def json_text(content: object, ascii_only: bool = False) -> str:
    """Content as JSON that can be encoded in UTF-8: undecodable bytes of file names are escaped."""
    text = json.dumps(content, indent=1, ensure_ascii=ascii_only)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def say_json(content: object) -> None:
    """Write content as JSON to standard output. Raises `MaskRCNNError` if it cannot be written."""
    unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    try:
        print(json_text(content, ascii_only=not unicode), flush=True)
    except OSError as error:
        out.fail(error)
        if not isinstance(error, BrokenPipeError):
            raise MaskRCNNError(f"cannot write to standard output: {error.strerror}") from error


def deliver_json(content: object, target: str | None) -> None:
    """Write content as JSON to a file, to standard output for "-", or nowhere for None. Raises as `say_json`."""
    if target == "-":
        say_json(content)
    elif target is not None:
        write_text(target, json_text(content))


def show_report(report: WeightReport | None) -> None:
    """Print how weights were loaded."""
    for line in report.lines() if report else ():
        say(line)


def show_table(
    rows: Iterable[Sequence[object]], title: str = "", *, words: int = 1, compact: bool = False, totals: int = 0
) -> None:
    """A table on standard output. Long cells are folded; where numbers do not fit, it is wider than the terminal.

    Args:
        rows: cells, shown as text; the first row is the head.
        words: columns of words, on the left; the others hold numbers.
        compact: without lines between columns.
        totals: rows at the end that are set apart.
    """
    head, *lines = [[Text(visible(str(cell))) for cell in row] for row in rows]
    table = Table(
        title=Text(visible(title)) if title else None,
        title_justify="left",
        box=SIMPLE if compact else HEAVY_HEAD,
        pad_edge=not compact,
        collapse_padding=compact,
    )
    for place, cell in enumerate(head):
        numeric = place >= words
        table.add_column(cell, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for number, line in enumerate(lines, 1):
        table.add_row(*line, end_section=number == len(lines) - totals)
    needed = Measurement.get(out, out.options, table).minimum
    out.show(table, width=max(out.width, needed))


def _line(parts: Iterable[str | Text]) -> Text:
    return Text.assemble(*(Text(visible(part)) if isinstance(part, str) else part for part in parts))
