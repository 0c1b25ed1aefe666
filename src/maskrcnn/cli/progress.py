"""Progress bars; where there is no terminal, nothing is drawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

from maskrcnn.cli.console import errors, on_terminal, out, say, warn
from maskrcnn.cli.metrics_tables import show_metrics
from maskrcnn.text import plural, visible

if TYPE_CHECKING:
    from maskrcnn.evaluation.evaluation import Evaluation

LINE_EVERY_S = 30.0  # of a training run without a terminal: enough for a log


class _PlainText(ProgressColumn):
    """The description of a task, or one of its fields, never read as markup."""

    def __init__(self, field: str = "") -> None:
        super().__init__()
        self.field = field

    def render(self, task: Task) -> Text:
        return Text(visible(str(task.fields[self.field] if self.field else task.description)))


class ProgressBar:
    """One bar; use it as a context.

    Args:
        what: a word or two.
        total: number of items, None while it is not known.
        counted: show items and the time left instead of the bar alone.
        on_stderr: draw on standard error, where standard output may be taken by results.
    """

    def __init__(self, what: str, total: float | None = None, *, counted: bool = True, on_stderr: bool = False) -> None:
        console = errors if on_stderr else out
        more = (MofNCompleteColumn(), TimeRemainingColumn()) if counted else ()
        self._progress = Progress(
            _PlainText(), BarColumn(), *more, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task(what, total=total)

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def advance(self) -> None:
        """One more item is done."""
        self._progress.advance(self._task)

    def set_total(self, total: float) -> None:
        """Set the number of items."""
        self._progress.update(self._task, total=total)

    def show(self, what: str, completed: float) -> None:
        """Set what is being done, and how many items are done."""
        self._progress.update(self._task, description=what, completed=completed)


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar; the context gives the function that advances it by one item."""
    with ProgressBar(what, total) as shown:
        yield shown.advance


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on standard error that something of unknown length is under way."""
    with ProgressBar(what, counted=False, on_stderr=True):
        yield


class TrainingDisplay:
    """The display of a training run: losses, images a second, time left, and the progress of each evaluation."""

    def __init__(self) -> None:
        columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f}%"), _PlainText("text"))
        self._progress = Progress(_PlainText(), *columns, console=out, disable=not on_terminal())
        self._training = self._progress.add_task("train", total=1.0, text="computing the first step")
        self._evaluation: TaskID | None = None
        self._printed_at = -LINE_EVERY_S

    def __enter__(self) -> TrainingDisplay:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        say(line)

    def note(self, line: str) -> None:
        warn(line)

    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None:
        self._end_evaluation()
        parts = " ".join(f"{name} {value + 0.0:.3f}" for name, value in losses.items())
        minutes, seconds = divmod(int(remaining_s), 60)
        text = (
            f"loss {sum(losses.values()):.3f} ({parts})  {images_per_second:.3g} images/s  {minutes}:{seconds:02d} left"
        )
        self._progress.update(self._training, completed=progress, text=text)
        if not on_terminal() and (time.monotonic() - self._printed_at >= LINE_EVERY_S or progress >= 1):
            self._printed_at = time.monotonic()
            say(f"{progress:.1%}  {text}")

    def evaluating(self, done: int, total: int) -> None:
        if self._evaluation is None:
            self._evaluation = self._progress.add_task("evaluate", total=total, text="")
        self._progress.update(self._evaluation, completed=done, text=f"{done} of {plural(total, 'image')}")

    def evaluated(self, evaluation: Evaluation, best: bool) -> None:
        self._end_evaluation()
        show_metrics(evaluation, "validation" + (" (best so far)" if best else ""))

    def _end_evaluation(self) -> None:
        if self._evaluation is not None:
            self._progress.remove_task(self._evaluation)
            self._evaluation = None
