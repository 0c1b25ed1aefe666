"""Progress in a notebook: one output that is updated, with the curves of a training run as it goes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from maskrcnn.html_table import escaped, html_lines
from maskrcnn.text import plural, step_line

if TYPE_CHECKING:
    from maskrcnn.evaluation.evaluation import Evaluation

UPDATE_EVERY_S = 1.0
PAUSE = 20  # times what the last update took: at most a twentieth of the time goes into drawing
_MOST_LINES = 40
_TRACK = "background:rgba(128,128,128,.25);border-radius:3px;height:6px;max-width:760px;margin:.3em 0"


class NotebookDisplay:
    """The output of one cell. A bar disappears at its end; notes stay, and of a run its curves and what it said."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []
        self._notes: list[str] = []
        self._said: deque[str] = deque(maxlen=_MOST_LINES)
        self._line, self._share, self._evaluating = "", 0.0, ""
        self._handle: Any = None
        self._updated_at, self._pause_s = 0.0, 0.0

    def say(self, line: str) -> None:
        self._said.append(line)
        if not self._rows:  # else the line of the last step stays
            self._line = line
        self._update()

    def note(self, line: str) -> None:
        self._notes.append(line)
        self._update()

    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None:
        self._rows.append({"% of the run": 100 * progress, **losses})
        self._line, self._share, self._evaluating = step_line(losses, images_per_second, remaining_s), progress, ""
        self._update()

    def evaluating(self, done: int, total: int) -> None:
        self._evaluating = f"; evaluating: {done} of {plural(total, 'image')}"
        self._update()

    def evaluated(self, evaluation: Evaluation, best: bool) -> None:
        metrics = evaluation.known_metrics
        self._rows.append({"% of the run": 100 * self._share, **metrics})
        self._evaluating = f"; {evaluation.headline()}{' (best so far)' * best}"
        self._update(now=True)

    @contextmanager
    def bar(self, what: str, total: int | None = None) -> Iterator[Callable[..., object]]:
        done = 0

        def advance(now: str = "", share: float = 0.0) -> None:
            nonlocal done
            done += 1
            if total is None:
                self._line, self._share = now, share
            else:
                self._line, self._share = f"{what}: {done:,} of {total:,}", done / max(total, 1)
            self._update()

        self._line = what
        self._update()

        try:
            yield advance
        finally:
            self._line, self._share = "", 0.0

    def close(self) -> None:
        """Show the final state: of verbs other than `train`, the notes alone."""
        if not self._rows:
            self._line = ""
        if self._handle is not None or self._notes or self._rows:
            self._update(now=True)

    def html(self) -> str:
        """What the output shows now."""
        parts = [f"<div>{escaped(self._line + self._evaluating)}</div>"] if self._line else []
        if self._share:
            fill = f"background:#3b82f6;border-radius:3px;height:6px;width:{100 * self._share:.1f}%"
            parts.append(f'<div style="{_TRACK}"><div style="{fill}"></div></div>')
        if self._rows:
            from maskrcnn.training.run_curves import curves_svg

            parts.append(curves_svg(self._rows, "% of the run") + html_lines(self._said, _MOST_LINES))
        return "".join([*parts, html_lines(self._notes)])

    def _update(self, now: bool = False) -> None:
        started = time.monotonic()
        if not now and started - self._updated_at < max(UPDATE_EVERY_S, self._pause_s):
            return
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(self.html()), display_id=True)
        else:
            self._handle.update(HTML(self.html()))
        self._updated_at = time.monotonic()
        self._pause_s = PAUSE * (self._updated_at - started)
