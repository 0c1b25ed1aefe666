"""One thing to do next, with the numbers that say so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A line of advice.

    Attributes:
        topic: its stable id, such as "threshold".
        what: the fact, in one sentence.
        evidence: the figures behind it.
        action: what to do about it.
    """

    topic: str
    what: str
    evidence: str
    action: str

    def __str__(self) -> str:
        return f"{self.what} {self.action}"


def plural(count: int, noun: str) -> str:
    """ "1 image", "2 images"."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{'' if count == 1 else ending}"


def listed(names: list[str], limit: int = 5) -> str:
    """Names in quotes, shortened: "'a', 'b' and 7 more"."""
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
