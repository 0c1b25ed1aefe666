"""Words for people: counts with their nouns, and text of unknown origin made safe to show."""

from __future__ import annotations

import codecs
import difflib
import os
import sys
import unicodedata
from collections.abc import Collection
from itertools import islice
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


def listed(names: Collection[object], limit: int = 6) -> str:
    """The first names and the number of the others: "a, b and 7 more"."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(str, islice(names, limit))) + more


def quoted(names: Collection[str], limit: int = 5) -> str:
    """As `listed`, each name in quotes: "'a', 'b' and 7 more"."""
    return listed([f"'{name}'" for name in names], limit)


def suggestion(name: str, known: Collection[str], limit: int = 50) -> str:
    """The fix for an unknown name: "did you mean 'epochs'?", or "known: ..." where none resembles it."""
    close = difflib.get_close_matches(name[:100], known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {listed(known, limit)}"


def first_line(error: BaseException, last: bool = False) -> str:
    """The first line of an error's message (or its ``last``), at most 200 characters; its type if it has no message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return visible(lines[-1 if last else 0][:200])


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


def replace_unencodable() -> None:
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
