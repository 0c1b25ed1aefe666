"""Small pieces of HTML; text from outside is escaped here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple


class Column(NamedTuple):
    """A column of a sortable table: its heading, the explanation on hover, and decimals, None for text."""

    title: str
    hint: str
    decimals: int | None


def number(value: float, decimals: int = 1, unit: str = "") -> str:
    """A number for people to read, a dash if it is unknown."""
    return "-" if math.isnan(value) else f"{value:,.{decimals}f}{unit}"


def text_paragraph(text: str, kind: str = "") -> str:
    """A paragraph of a class of the style sheet."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(lines: Sequence[str], kind: str = "") -> str:
    """A list of lines."""
    start = f'<ul class="{kind}">' if kind else "<ul>"
    return f"{start}{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def card(name: str, value: str, note: str) -> str:
    """One key figure."""
    parts = (("name", name), ("value", value), ("note", note))
    return f'<div class="figure">{"".join(f"<div class={kind}>{escape(text)}</div>" for kind, text in parts)}</div>'


def plot(svg: str, title: str, caption: str) -> str:
    """A plot with its caption."""
    return f'<figure class="plot">{svg}<figcaption><b>{escape(title)}</b> {escape(caption)}</figcaption></figure>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table; the first cell of each row is its heading."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return _frame("", top, body)


def _frame(kind: str, head: str, body: str) -> str:
    """A table of a class of the style sheet that scrolls sideways, from the cells of its head and its rows."""
    start = f'<table class="{kind}">' if kind else "<table>"
    return f'<div class="scroll">{start}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def sortable_table(columns: Sequence[Column], rows: Sequence[Sequence[str | float]]) -> str:
    """A table whose headings sort it, if scripts run."""
    top = "".join(
        f'<th scope="col" data-kind="{"text" if column.decimals is None else "number"}">'
        f'<button type="button" title="{escape(column.hint)}">{escape(column.title)}</button></th>'
        for column in columns
    )
    body = "".join(f"<tr>{''.join(map(_cell, columns, row))}</tr>" for row in rows)
    return _frame("sortable", top, body)


def _cell(column: Column, value: str | float) -> str:
    if isinstance(value, str):
        return f'<th scope="row">{escape(value)}</th>'
    exact = "" if math.isnan(value) else f"{value:.6g}"
    return f'<td data-value="{exact}">{number(value, column.decimals or 0)}</td>'


def confusion_table(names: Sequence[str], counts: Sequence[Sequence[int]], merged: bool = False) -> str:
    """Labelled class by detected class; names and counts end with "nothing".

    Args:
        merged: whether the last class stands for several; its own cell is then neither right nor wrong.
    """
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in (*names[:-1], "missed"))
    body = []
    neither = len(names) - 2 if merged else -1
    for row, (name, line) in enumerate(zip((*names[:-1], "nothing there"), counts, strict=True)):
        total = max(sum(line), 1)
        cells = "".join(
            f'<td class="{"error" if row != column else "hit" if row != neither else ""}" '
            f'style="--share:{count / total:.3f}">{count or ""}</td>'
            for column, count in enumerate(line)
        )
        body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    kind = "confusion many" if len(names) > 5 else "confusion"
    return _frame(kind, f"<th>labelled ↓ detected →</th>{top}", "".join(body))
