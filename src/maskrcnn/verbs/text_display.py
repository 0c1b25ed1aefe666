"""Progress as lines of text, for scripts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from maskrcnn.text import plural, step_line, visible

if TYPE_CHECKING:
    from maskrcnn.evaluation.evaluation import Evaluation

LINE_EVERY_S = 30.0  # enough for a log


class LineClock:
    """Tells when the next line on how far a run is should come: the first at once, the others every 30 seconds."""

    def __init__(self) -> None:
        self._printed_at = -math.inf

    def due(self) -> bool:
        """Whether it should come now; if so, the time to the next one begins."""
        if due := time.monotonic() - self._printed_at >= LINE_EVERY_S:
            self._printed_at = time.monotonic()
        return due


class TextDisplay:
    """Prints each line, and how far a run or a bar is every 30 seconds."""

    def __init__(self) -> None:
        self._clock = LineClock()

    def say(self, line: str) -> None:
        print(visible(line), flush=True)

    def note(self, line: str) -> None:
        self.say(f"note: {line}")

    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None:
        if progress >= 1 or self._clock.due():
            self.say(f"{progress:.1%}  {step_line(losses, images_per_second, remaining_s)}")

    def evaluating(self, done: int, total: int) -> None:
        if self._clock.due():
            self.say(f"evaluate: {done} of {plural(total, 'image')}")

    def evaluated(self, evaluation: Evaluation, best: bool) -> None:
        self.say(f"validation: {evaluation.headline()}{' (best so far)' * best}")

    @contextmanager
    def bar(self, what: str, total: int | None = None) -> Iterator[Callable[..., object]]:
        done = 0

        def advance(now: str = "", share: float = 0.0) -> None:
            nonlocal done
            done += 1
            if self._clock.due():
                self.say(f"{now or what}: {f'{share:.0%}' if total is None else f'{done:,} of {total:,}'}")

        yield advance
