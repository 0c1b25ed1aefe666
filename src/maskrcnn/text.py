"""Words for people: counts with their nouns, and text of unknown origin made safe to show."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from typing import TextIO

# Joiners inside words and emoji are letters to their readers.
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


def listed(names: list[str], limit: int = 5) -> str:
    """Names in quotes, shortened: "'a', 'b' and 7 more"."""
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def visible(text: str) -> str:
    r"""The text with escapes in place of what a terminal obeys or hides, so that it stays on its line.

    Control characters, line ends and marks of writing direction become "\x1b", "\n", "\u202e"; a byte of a file name
    that is no UTF-8 becomes "\xff".
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN and c not in _KEPT else c for c in text)


def _escaped(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # how Python decodes such a byte
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def cut_to_bytes(text: str, most: int) -> str:
    """The beginning of a file name that takes at most so many bytes."""
    text = text[:most]
    while len(text.encode("utf-8", "surrogatepass")) > most:
        text = text[:-1]
    return text


def write_anyway() -> None:
    """Let standard output and error take any character: one that their encoding lacks is replaced or escaped."""
    codecs.register_error("maskrcnn", _replaced)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="maskrcnn")


def discard_rest(stream: TextIO | None) -> None:
    """Send what is still to be written to a stream nowhere, so that leaving the process does not fail on it."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # a stream without a file
        pass


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    parts = error.object[error.start : error.end]
    return "".join(_INSTEAD.get(c) or c.encode("ascii", "backslashreplace").decode() for c in parts), error.end
