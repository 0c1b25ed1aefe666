"""Text for messages: counts with their nouns, lists of names, and untrusted text made safe to print."""

from __future__ import annotations

import codecs
import difflib
import os
import shlex
import sys
import unicodedata
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TextIO

# Zero-width joiners belong to words of some scripts and to emoji.
_KEPT = "\u200c\u200d"
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
_INSTEAD = {"→": "->", "…": "...", "–": "-", "×": "x", "·": "-", "“": '"', "”": '"', "’": "'", "│": "|", "─": "-"}  # noqa: RUF001


def plural(count: int, noun: str) -> str:
    """A count and its noun: "1 image", "2 images", "3 classes", "4 copies"."""
    if count != 1:
        if noun.endswith(("s", "x", "ch", "sh")):
            noun += "es"
        elif noun.endswith("y") and noun[-2:-1] not in "aeiou":
            noun = noun[:-1] + "ies"
        else:
            noun += "s"
    return f"{count:,} {noun}"


def listed(names: Collection[object], limit: int = 6) -> str:
    """The first names and the number of the others: "a, b and 7 more"."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(str, islice(names, limit))) + more


def comma_separated(values: Sequence[str], known: Collection[str] = ()) -> list[str]:
    """The parts of an option's values, such as "cat,dog"; a known name may hold commas."""
    parts = [part for value in values for part in ([value] if value in known else value.split(","))]
    return [part if part in known else part.strip() for part in parts]


def quoted(names: Collection[str], limit: int = 5) -> str:
    """As `listed`, each name in quotes: "'a', 'b' and 7 more"."""
    return listed([f"'{name}'" for name in names], limit)


def shell_word(text: object) -> str:
    """A word of a command line; in double quotes where it holds single ones and nothing that a shell replaces."""
    word = str(text)
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def suggestion(name: str, known: Collection[str], limit: int = 50) -> str:
    """The fix for an unknown name: "did you mean 'epochs'?", or "known: ..." where none resembles it."""
    close = difflib.get_close_matches(name[:100], known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {listed(known, limit)}"


def step_line(losses: dict[str, float], images_per_second: float, remaining_s: float) -> str:
    """The losses, the speed and the time left in one line."""
    parts = " ".join(f"{name} {value + 0.0:.3f}" for name, value in losses.items())
    minutes, seconds = divmod(int(remaining_s), 60)
    speed = f"{images_per_second:.3g} images/s  {minutes}:{seconds:02d} left"
    return f"loss {sum(losses.values()):.3f} ({parts})  {speed}"


def first_line(error: BaseException, last: bool = False) -> str:
    """The first line of an error's message (or its ``last``), at most 200 characters; its type if it has no message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return visible(lines[-1 if last else 0][:200])


def visible(text: str) -> str:
    r"""The text with escapes in place of characters that a terminal interprets or hides.

    Control characters, line ends and marks of writing direction become "\x1b", "\n", "\u202e"; a byte of a file name
    that is not UTF-8 becomes "\xff".
    """
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN and c not in _KEPT else c for c in text)


def _escaped(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # how Python decodes such a byte
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def cut_to_bytes(text: str, most: int) -> str:
    """The longest beginning of a file name that takes at most this many bytes."""
    text = text[:most]
    while len(text.encode("utf-8", "surrogatepass")) > most:
        text = text[:-1]
    return text


def replace_unencodable() -> None:
    """Make standard output and error replace or escape characters that their encoding lacks."""
    codecs.register_error("maskrcnn", _replaced)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # none, or not a text file
            stream.reconfigure(errors="maskrcnn")  # type: ignore[union-attr]


def discard_rest(stream: TextIO | None) -> None:
    """Redirect a stream to the null device, so that flushing it when the process ends does not fail."""
    with (
        suppress(OSError, ValueError, AttributeError),
        Path(os.devnull).open("wb") as nowhere,
    ):  # a stream without a file
        os.dup2(nowhere.fileno(), stream.fileno())  # type: ignore[union-attr]


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    parts = error.object[error.start : error.end]
    return "".join(_INSTEAD.get(c) or c.encode("ascii", "backslashreplace").decode() for c in parts), error.end
