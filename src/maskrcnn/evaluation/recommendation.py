"""One recommendation, with the figures that support it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recommendation:
    """A line of advice.

    Attributes:
        topic: stable id, such as "threshold".
        what: the fact, in one sentence.
        evidence: the figures that support it.
        action: what to do about it.
    """

    topic: str
    what: str
    evidence: str
    action: str
