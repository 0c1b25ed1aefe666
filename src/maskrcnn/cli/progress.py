"""Progress bars; where there is no terminal, nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from maskrcnn.cli.console import errors, out, say, warn
from maskrcnn.cli.metrics_tables import show_metrics
from maskrcnn.text import plural, step_line, visible
from maskrcnn.verbs.text_display import LineClock

if TYPE_CHECKING:
    from maskrcnn.evaluation.evaluation import Evaluation


class _PlainText(ProgressColumn):
    """The description of a task, or one of its fields, never read as markup."""

    def __init__(self, field: str = "") -> None:
        super().__init__()
        self.field = field

    def render(self, task: Task) -> Text:
        return Text(visible(str(task.fields[self.field] if self.field else task.description)))


@contextmanager
def progress_bar(
    what: str, total: float | None = None, *, counted: bool = True, on_stderr: bool = False
) -> Iterator[Callable[..., None]]:
    """A bar; the context gives a function with the arguments of `rich.progress.Progress.update`, such as ``advance=1``.

    Args:
        what: a word or two.
        total: number of items, None while it is not known.
        counted: show items and the time left beside the bar.
        on_stderr: draw on standard error, because standard output may take results.
    """
    console = errors if on_stderr else out
    more = (MofNCompleteColumn(), TimeRemainingColumn()) if counted else ()
    hidden = not console.is_terminal
    with Progress(_PlainText(), BarColumn(), *more, console=console, transient=True, disable=hidden) as progress:
        yield partial(progress.update, progress.add_task(what, total=total))


class TerminalDisplay:
    """The display of a verb on the terminal.

    Args:
        on_stderr: draw bars on standard error, because standard output may take results.
        quiet: show no lines, because standard output takes JSON.
    """

    def __init__(self, on_stderr: bool = False, quiet: bool = False) -> None:
        self.on_stderr, self.quiet = on_stderr, quiet

    def say(self, line: str) -> None:
        if not self.quiet:
            say(line)

    def note(self, line: str) -> None:
        warn(line)

    @contextmanager
    def bar(self, what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
        with progress_bar(what, total, counted=total is not None, on_stderr=self.on_stderr) as update:
            if total is None:
                yield lambda now, share: update(description=now, total=1.0, completed=share)
            else:
                yield partial(update, advance=1)


@contextmanager
def training_display() -> Iterator[TrainingDisplay]:
    """The display of a training run; its bars appear with its first line."""
    display = TrainingDisplay()
    try:
        yield display
    finally:
        display.stop()


class TrainingDisplay(Progress):
    """The display of a training run: losses, images a second, time left, and the progress of each evaluation."""

    def __init__(self) -> None:
        columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f}%"), _PlainText("text"))
        super().__init__(_PlainText(), *columns, console=out, disable=not out.is_terminal)
        self._training = self.add_task("train", total=1.0, text="computing the first step")
        self._evaluation: TaskID | None = None
        self._clock = LineClock()

    def say(self, line: str) -> None:
        self.start()
        say(line)

    def note(self, line: str) -> None:
        warn(line)

    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None:
        self._end_evaluation()
        text = step_line(losses, images_per_second, remaining_s)
        self.update(self._training, completed=progress, text=text)
        if not out.is_terminal and (self._clock.due() or progress >= 1):
            say(f"{progress:.1%}  {text}")

    def evaluating(self, done: int, total: int) -> None:
        if self._evaluation is None:
            self._evaluation = self.add_task("evaluate", total=total, text="")
        self.update(self._evaluation, completed=done, text=f"{done} of {plural(total, 'image')}")

    def evaluated(self, evaluation: Evaluation, best: bool) -> None:
        self._end_evaluation()
        show_metrics(evaluation, "validation" + (" (best so far)" if best else ""))

    def _end_evaluation(self) -> None:
        if self._evaluation is not None:
            self.remove_task(self._evaluation)
            self._evaluation = None
