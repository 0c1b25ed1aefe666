"""What the doctor found: one finding, and the diagnosis that holds them all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from maskrcnn.annotations.problem import Problem, Severity
from maskrcnn.datasets.doctor.checks import CHECKS
from maskrcnn.errors import shortened

_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
_ORDER = {check: number for number, check in enumerate(CHECKS)}


@dataclass(frozen=True)
class Finding:
    """One fault at one place.

    Attributes:
        check: id in `CHECKS`.
        severity: error, warning or note.
        file: the image, or the label file where no image is meant.
        what: what was seen, with its numbers.
        fix: what the user can do.
        annotation: id of the annotation, or the value in an id map.
        split: "train", "val", …; "" for data without splits.
        fixable: whether `repair` mends it in a copy.
    """

    check: str
    severity: Severity
    file: str
    what: str
    fix: str
    annotation: int | None = None
    split: str = ""
    fixable: bool = False

    def __post_init__(self) -> None:
        # Names of classes have any length.
        object.__setattr__(self, "what", shortened(self.what))

    def __str__(self) -> str:
        place = f", annotation {self.annotation}" if self.annotation is not None else ""
        return f"{self.file}{place}: {self.what}"


def found(check: str, file: str | Path, what: str, annotation: int | None = None) -> Finding:
    """A finding of a check in the catalogue."""
    entry = CHECKS[check]
    return Finding(check, entry.severity, str(file), what, entry.fix, annotation, "", entry.fixable)


def from_problem(problem: Problem) -> Finding:
    """What a reader reported, as a finding."""
    file = problem.file if problem.annotation is not None else problem.where
    entry = CHECKS.get(problem.check)
    fix = problem.fix or (entry.fix if entry else "")
    severity = entry.severity if entry else problem.severity
    what = problem.what.removeprefix(f"{file}: ")
    return Finding(problem.check, severity, file, what, fix, problem.annotation, "", bool(entry and entry.fixable))


@dataclass(frozen=True)
class Diagnosis:
    """All findings on one data set.

    Attributes:
        path: the data.
        images, objects: how many are usable, by split.
        findings: errors first, then in the order of the catalogue, of splits and of files.
    """

    path: str
    images: dict[str, int]
    objects: dict[str, int]
    findings: list[Finding]

    @property
    def errors(self) -> int:
        """Number of findings that are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings by check, in their order."""
        return dict(Counter(finding.check for finding in self.findings))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "data": self.path,
            "images": self.images,
            "objects": self.objects,
            "counts": self.counts,
            "findings": [asdict(finding) for finding in self.findings],
        }


def in_split(findings: Iterable[Finding], split: str) -> list[Finding]:
    """The findings, told to be of one split."""
    return [replace(finding, split=split) for finding in findings]


def in_order(findings: Iterable[Finding], splits: list[str]) -> list[Finding]:
    """Each finding once, in an order that depends on nothing but the findings."""

    def key(finding: Finding) -> tuple[Any, ...]:
        return (
            _SEVERITIES.index(finding.severity),
            _ORDER.get(finding.check, len(_ORDER)),
            finding.check,
            splits.index(finding.split) if finding.split in splits else -1,
            _natural(finding.file),
            -1 if finding.annotation is None else finding.annotation,
            finding.what,
        )

    return sorted(dict.fromkeys(findings), key=key)


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Text as people sort it: file2 before file10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]
