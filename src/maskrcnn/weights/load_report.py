"""What loading weights into a model did: parameters matched, initialised, not used, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from maskrcnn.text import listed, plural


@dataclass
class LoadReport:
    """What loading did, parameter by parameter."""

    source: str
    matched: int = 0
    reinitialised: list[tuple[str, str]] = field(default_factory=list)  # parameter, why
    unused: list[tuple[str, str]] = field(default_factory=list)
    classes_copied: list[str] = field(default_factory=list)
    classes_new: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)  # of the checkpoint

    def note_spread(self, parameter: str, channels: int) -> None:
        """Note that a first layer on RGB was spread over other channels."""
        self.notes.append(f"{parameter}: weights for RGB spread over {channels} channels")

    def lines(self) -> list[str]:
        """The report for people, a line a fact; long lists are cut."""
        lines = [f"{self.source}: {plural(self.matched, 'parameter')} matched", *self.notes]
        if self.classes_new:
            lines.append(f"classes copied by name: {listed(self.classes_copied) or 'none'}")
            lines.append(f"classes new, their rows initialised: {listed(self.classes_new)}")
        lines += [f"initialised {listed(names)}: {why}" for why, names in _by_reason(self.reinitialised).items()]
        lines += [f"not used {listed(names)}: {why}" for why, names in _by_reason(self.unused).items()]
        return lines


def _by_reason(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, why in pairs:
        reasons.setdefault(why, []).append(name)
    return reasons
