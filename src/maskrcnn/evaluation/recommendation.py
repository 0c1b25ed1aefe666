"""One recommendation, with the figures that support it and the verb to call; and the order of several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from maskrcnn.evaluation.verb_call import VerbCall
from maskrcnn.html_table import html_prose, html_text

# How many recommendations are shown as the next steps.
MOST = 3
INDENT = 3 * " "
_CALL = "margin:.2em 0 .6em;white-space:pre-wrap;overflow-wrap:anywhere"


@dataclass(frozen=True)
class Recommendation:
    """A line of advice.

    Attributes:
        topic: stable id, such as "threshold".
        what: the fact, in one sentence.
        evidence: the figures that support it.
        action: what to do about it.
        call: the verb that does it, with its arguments; None where none does.
        gain: the percent points that it would bring at most, where they can be estimated.
        measure: what the gain is counted in: "AP50", or "F1" for a better score threshold.
        images: paths of the images that it is about, those with most cases first.
        decisive: whether the figures mean nothing until this is solved, so that no advice follows from them.
    """

    topic: str
    what: str
    evidence: str
    action: str
    call: VerbCall | None = None
    gain: float | None = None
    measure: str = "AP50"
    images: tuple[str, ...] = ()
    decisive: bool = False

    @property
    def expected(self) -> str:
        """The gain in words: "AP50 up to +12.3"; "" if it is unknown."""
        return "" if self.gain is None else f"{self.measure} up to +{self.gain:.1f}"

    @property
    def command(self) -> str:
        """What to type in a shell; "" where no command does it."""
        return "" if self.call is None else self.call.shell

    @property
    def python(self) -> str:
        """What to call in Python, one or more lines; "" where no function does it."""
        return "" if self.call is None else self.call.python

    @property
    def reason(self) -> str:
        """The evidence, what to do, and what that would gain, as sentences."""
        return f"{self.evidence} {self.action}{f' Expected: {self.expected}.' if self.expected else ''}"

    def lines(self, mark: str, shell: bool = False) -> list[str]:
        """The recommendation as lines of text: the fact after a mark such as "1.", its reason, and the call.

        Args:
            shell: the call is what to type in a shell, not what to call in Python.
        """
        call = self.command if shell else self.python
        return [f"{mark} {self.what}", *(f"{INDENT}{line}" for line in (self.reason, *call.splitlines()) if line)]

    def html(self) -> str:
        """The same for a notebook."""
        call = f'<pre style="{_CALL}">{html_text(self.python)}</pre>' if self.python else ""
        return f"<b>{html_prose(self.what)}</b> {html_prose(self.reason)}{call}"

    def to_json(self) -> dict[str, Any]:
        """The attributes as plain data, the call as `command` and `python`."""
        values = asdict(self)
        del values["call"]
        return values | {"command": self.command, "python": self.python}


def by_gain(found: Iterable[Recommendation]) -> list[Recommendation]:
    """The largest gain first, those of unknown gain last."""
    return sorted(found, key=lambda one: -1.0 if one.gain is None else one.gain, reverse=True)
