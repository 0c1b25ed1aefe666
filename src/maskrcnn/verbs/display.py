"""Where a verb shows its progress: nowhere, as lines of text, in a notebook, or where its caller says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

Bar = AbstractContextManager[Callable[..., object]]


class VerbDisplay(Protocol):
    """Lines of progress, notes on what needs attention, and bars.

    The context of a bar gives the function that advances it by one; of a bar without a total, a function that takes a
    word on what is done now, and the share of the whole that is done.
    """

    def say(self, line: str) -> None: ...
    def note(self, line: str) -> None: ...
    def bar(self, what: str, total: int | None = None) -> Bar: ...


class QuietDisplay:
    """Shows nothing."""

    def say(self, line: str) -> None: ...
    def note(self, line: str) -> None: ...

    @contextmanager
    def bar(self, what: str, total: int | None = None) -> Iterator[Callable[..., object]]:
        yield lambda *progress: None


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook. IPython is asked only if something has imported it."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


@contextmanager
def shown_on(display: bool | Any | None) -> Iterator[Any]:
    """The display that a caller of a verb asks for, which is closed at the end.

    Args:
        display: True for a notebook's output, elsewhere lines of text; False for nothing; None for a notebook's output,
            elsewhere nothing; or a display.
    """
    if display is False or (display is None and not in_notebook()):
        yield QuietDisplay()
    elif not isinstance(display, bool | None):
        yield display
    elif in_notebook():
        from maskrcnn.verbs.notebook_display import NotebookDisplay

        shown = NotebookDisplay()
        try:
            yield shown
        finally:
            shown.close()
    else:
        from maskrcnn.verbs.text_display import TextDisplay

        yield TextDisplay()
