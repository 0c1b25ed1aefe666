"""The error that users see, with what is wrong, where, and the fix; and the exit codes of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

SOME_SKIPPED = 1  # the rest was processed
ALL_FAILED = 2
INTERRUPTED = 130


def exit_code(done: int, skipped: int) -> int:
    """0 if nothing was skipped, otherwise 1; 2 if nothing was done at all."""
    return 0 if not skipped else SOME_SKIPPED if done else ALL_FAILED


class MaskRCNNError(Exception):
    """A problem with the user's input, described in one line.

    Args:
        what: what was expected and what was found.
        where: the file, and the annotation id if there is one.
        fix: what the user can do about it.
    """

    def __init__(self, what: str, *, where: object = None, fix: str = "") -> None:
        self.what, self.where, self.fix = shortened(what), where, shortened(fix)
        place = f"{shortened(str(where))}: " if where is not None else ""
        super().__init__("".join((place, self.what, f" ({self.fix})" if self.fix else "")))


@contextmanager
def errors_at(where: object, prefix: str = "") -> Iterator[None]:
    """Raise a `MaskRCNNError` of the body again with the place it concerns, and a prefix to what is wrong."""
    try:
        yield
    except MaskRCNNError as error:
        raise MaskRCNNError(prefix + error.what, where=where, fix=error.fix) from error


def shortened(text: str, limit: int = 1000) -> str:
    """The text, without its middle if it is longer: messages quote files, whose values may be huge."""
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-limit // 2 :]}"


# What may end a command without a bug: an OSError is a full disk, or a folder that was removed meanwhile.
EXPECTED_ENDS = (MaskRCNNError, OSError, MemoryError, KeyboardInterrupt)


def message_and_code(error: BaseException) -> tuple[str, int]:
    """The line to show and the exit code for one of `EXPECTED_ENDS`."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped", INTERRUPTED
    return "not enough memory" if isinstance(error, MemoryError) else str(error), ALL_FAILED
