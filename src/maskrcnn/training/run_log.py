"""The log of a run: lines on the display and in RUN/log.txt, and at the end how much of the data was left out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from maskrcnn.annotations.problem import Problem
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.output.atomic_file import write_text
from maskrcnn.text import plural


class Display(Protocol):
    """Where a run shows its progress."""

    def say(self, line: str) -> None: ...
    def note(self, line: str) -> None: ...
    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None: ...
    def evaluating(self, done: int, total: int) -> None: ...
    def evaluated(self, evaluation: Evaluation, best: bool) -> None: ...


class NoDisplay:
    """The display of all processes but the first: shows nothing."""

    def say(self, line: str) -> None: ...
    def note(self, line: str) -> None: ...
    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None: ...
    def evaluating(self, done: int, total: int) -> None: ...
    def evaluated(self, evaluation: Evaluation, best: bool) -> None: ...


class RunLog:
    """Lines to the display and, with their time, to a file; each problem of the data is noted once.

    Args:
        path: the file, or None to write none.
        fresh: empty the file first.

    Attributes:
        notes: what `note` was given.
    """

    def __init__(self, path: Path | None, display: Display, fresh: bool) -> None:
        self.path, self.display, self.problems, self.lacking = path, display, ProblemLog(), False
        self.notes: list[str] = []
        if path is not None and fresh:
            write_text(path, "")

    def say(self, *lines: str) -> None:
        """Report progress."""
        for line in lines:
            self.keep(line)
            self.display.say(line)

    def note(self, line: str) -> None:
        """Report something that needs attention."""
        self.notes.append(line)
        self.keep(f"note: {line}")
        self.display.note(line)

    def report(self, problems: Iterable[Problem]) -> None:
        """Note problems of the data; each once."""
        for problem in self.problems.add(problems):
            self.note(str(problem))

    def sum_up(self) -> None:
        """Report how much of the data was left out."""
        images, objects = self.problems.images_lost, self.problems.objects_lost
        lost = f"left out of the data: {plural(images, 'image')}, {plural(objects, 'object')}; log.txt names each"
        self.say(lost if images or objects else "nothing of the data was left out")

    def keep(self, line: str) -> None:
        """Write a line to the file alone: the display shows it in another form."""
        if self.path is not None:
            try:
                with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(f"{datetime.now().isoformat(sep=' ', timespec='seconds')}  {line}\n")
            except OSError as error:  # the run continues without its log
                if not self.lacking:
                    self.lacking = True
                    self.display.note(f"log.txt lacks lines: {error.strerror or error}")
