"""A report on loading weights into a model: parameters matched, initialised, not used, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from maskrcnn.text import listed, plural


@dataclass
class LoadReport:
    """What happened to each parameter."""

    source: str
    matched: int = 0
    reinitialised: list[tuple[str, str]] = field(default_factory=list)  # parameter, why
    unused: list[tuple[str, str]] = field(default_factory=list)
    classes_copied: list[str] = field(default_factory=list)
    classes_new: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)  # of the checkpoint

    def lines(self) -> list[str]:
        """The report for users, one line per fact; long lists are cut."""
        lines = [f"{self.source}: {plural(self.matched, 'parameter')} matched", *self.notes]
        if self.classes_new:
            lines.append(f"classes copied by name: {listed(self.classes_copied) or 'none'}")
            lines.append(f"classes new, their rows initialised: {listed(self.classes_new)}")
        for verb, parameters in (("initialised", self.reinitialised), ("not used", self.unused)):
            for why in dict.fromkeys(why for _, why in parameters):
                names = [name for name, reason in parameters if reason == why]
                lines.append(f"{verb} {listed(names)}: {why}")
        return lines
