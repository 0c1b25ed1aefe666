"""One recommendation, with the figures that support it and what to type; and the order of several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# How many recommendations are shown as the next steps.
MOST = 3


@dataclass(frozen=True)
class Recommendation:
    """A line of advice.

    Attributes:
        topic: stable id, such as "threshold".
        what: the fact, in one sentence.
        evidence: the figures that support it.
        action: what to do about it.
        command: what to type for that, "" where no command does it.
        gain: the percent points that it would bring at most, where they can be estimated.
        measure: what the gain is counted in: "AP50", or "F1" for a better score threshold.
        images: paths of the images that it is about, those with most cases first.
        decisive: whether the figures mean nothing until this is solved, so that no advice follows from them.
    """

    topic: str
    what: str
    evidence: str
    action: str
    command: str = ""
    gain: float | None = None
    measure: str = "AP50"
    images: tuple[str, ...] = ()
    decisive: bool = False

    @property
    def expected(self) -> str:
        """The gain in words: "AP50 up to +12.3"; "" if it is unknown."""
        return "" if self.gain is None else f"{self.measure} up to +{self.gain:.1f}"

    def lines(self, number: int) -> list[str]:
        """The recommendation as lines of text: the fact, its evidence and what to do, what to type."""
        expected = f" Expected: {self.expected}." if self.expected else ""
        lines = [f"{number}. {self.what}", f"   {self.evidence} {self.action}{expected}"]
        return lines + [f"   {self.command}"] * bool(self.command)


def by_gain(found: Iterable[Recommendation]) -> list[Recommendation]:
    """The largest gain first, those of unknown gain last."""
    return sorted(found, key=lambda one: -1.0 if one.gain is None else one.gain, reverse=True)
