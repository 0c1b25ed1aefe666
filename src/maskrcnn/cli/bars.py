"""Progress on a terminal; where there is none, nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

from maskrcnn.cli.console import errors, out
from maskrcnn.text import visible


class _Words(ProgressColumn):
    """The description, or a field of the task, as plain text."""

    def __init__(self, field: str = "") -> None:
        super().__init__()
        self.field = field

    def render(self, task: Task) -> Text:
        return Text(visible(str(task.fields[self.field] if self.field else task.description)))


class Bar:
    """One thing that progresses; use it as a context.

    Args:
        what: a word or two.
        total: number of items, None while it is not known.
        counted: show items and the time left instead of the bar alone.
        beside: draw on standard error, beside results that go elsewhere.
    """

    def __init__(self, what: str, total: float | None = None, *, counted: bool = True, beside: bool = False) -> None:
        console = errors if beside else out
        more = (MofNCompleteColumn(), TimeRemainingColumn()) if counted else ()
        self._progress = Progress(
            _Words(), BarColumn(), *more, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task(what, total=total)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def advance(self) -> None:
        """One more item is done."""
        self._progress.advance(self._task)

    def expect(self, total: float) -> None:
        """So many items there are."""
        self._progress.update(self._task, total=total)

    def show(self, what: str, completed: float) -> None:
        """What is being done, and how far it is."""
        self._progress.update(self._task, description=what, completed=completed)


class LongBars:
    """The bar of a long run, with words behind it, and now and then one of a part of it. Use it as a context."""

    def __init__(self, what: str, text: str) -> None:
        self._progress = Progress(
            _Words(),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            _Words("text"),
            console=out,
            disable=not out.is_terminal,
        )
        self._whole = self._progress.add_task(what, total=1.0, text=text)
        self._part: TaskID | None = None

    def __enter__(self) -> LongBars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def show(self, completed: float, text: str) -> None:
        """How far the run is, 0 to 1, and the words behind the bar."""
        self._progress.update(self._whole, completed=completed, text=text)

    def part(self, what: str, done: int, total: int, text: str) -> None:
        """How far a part of the run is."""
        if self._part is None:
            self._part = self._progress.add_task(what, total=total, text="")
        self._progress.update(self._part, completed=done, text=text)

    def end_part(self) -> None:
        """The part is over: its bar goes."""
        if self._part is not None:
            self._progress.remove_task(self._part)
            self._part = None


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar that is advanced by calling what the context gives."""
    with Bar(what, total) as shown:
        yield shown.advance


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on standard error that something of unknown length is under way."""
    with Bar(what, None, counted=False, beside=True):
        yield
