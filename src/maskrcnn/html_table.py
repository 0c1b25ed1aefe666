"""Tables as HTML for notebooks; text from outside is escaped, as are characters that a page hides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice

from maskrcnn.text import visible

_CELL = "padding:.15em .8em;border-bottom:1px solid rgba(128,128,128,.3);vertical-align:top;text-align:"


def escaped(text: object) -> str:
    """Text as HTML that shows it as it is."""
    return escape(visible(str(text)))


def html_text(text: str) -> str:
    """Lines of text as HTML, for a place that keeps line ends."""
    return "\n".join(map(escaped, text.splitlines()))


def html_prose(text: str) -> str:
    """A sentence, in which `backticks` mark code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped(text))


def html_table(rows: Iterable[Sequence[object]], *, words: int = 1, most: int = 40) -> str:
    """A table whose first row is its head.

    Args:
        rows: cells, shown as text.
        words: columns of words, on the left; the others hold numbers and are aligned to the right.
        most: rows that are shown, the head not counted; a last line gives the number of the others.
    """
    head, *lines = rows
    shown = "".join(_row("td", line, words) for line in islice(lines, most))
    rest = f"<caption style='caption-side:bottom'>and {len(lines) - most:,} more</caption>" * (len(lines) > most)
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4em 0"
    return f'<table style="{style}">{rest}<thead>{_row("th", head, words)}</thead><tbody>{shown}</tbody></table>'


def html_lines(lines: Iterable[object], most: int = 20) -> str:
    """A list of lines, of which the first ``most`` are shown; empty for none."""
    texts = [escaped(line) for line in lines]
    more = [f"and {len(texts) - most:,} more"] if len(texts) > most else []
    items = "".join(f"<li>{text}</li>" for text in [*texts[:most], *more])
    return f'<ul style="margin:.3em 0">{items}</ul>' if items else ""


def _row(tag: str, cells: Sequence[object], words: int) -> str:
    places = ("left" if place < words else "right" for place in range(len(cells)))
    shown = (f'<{tag} style="{_CELL}{side}">{escaped(cell)}</{tag}>' for side, cell in zip(places, cells, strict=True))
    return f"<tr>{''.join(shown)}</tr>"
