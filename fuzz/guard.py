"""Time and memory of one case, bounded from within the process (Linux)."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class TooSlowError(BaseException):
    """A case took too long. No `Exception`, so that no reader takes it for a fault of the file."""


@dataclass
class Cost:
    """What a case took: seconds, and bytes of memory above what the process held before."""

    seconds: float = 0.0
    bytes: int = 0


def _memory(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


@contextmanager
def measured(seconds: float) -> Iterator[Cost]:
    """Measure a case, and raise `TooSlowError` in it after so many seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"more than {seconds:g} s")

    cost = Cost()
    if CLEAR.exists():
        CLEAR.write_text("5")  # the peak starts again from now
    before, started = _memory("VmRSS"), time.monotonic()
    earlier = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield cost
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
        cost.seconds = time.monotonic() - started
        cost.bytes = max(_memory("VmHWM") - before, 0)
