"""All problems of one data set: without those that only follow from others, and in an order of their own."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.annotations.problem import Problem
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.datasets.doctor.checks import CHECKS
from maskrcnn.html_table import escaped, html_lines
from maskrcnn.text import plural

SEVERITIES = ("error", "warning", "note")
EXAMPLES = 5  # of the problems of a check that are shown
_ORDER = {check: number for number, check in enumerate(CHECKS)}
_KEYS = ("check", "severity", "file", "entry", "what", "fix", "annotation", "split", "fixable")

# What follows from a problem of a whole label file for its images, annotations and classes.
_NO_OBJECTS = {"no-objects", "unannotated-image", "class-without-examples", "class-too-rare"}
_NO_OBJECTS |= {"class-only-in-val", "class-only-in-train"}
_IN_SPLIT = {
    "category-offset": {"unknown-category"} | _NO_OBJECTS,
    "normalised-coordinates": {"empty-mask", "zero-area", "box-mask-disagree", "area-disagree", "smaller-than-stride"}
    | {"degenerate-polygon", "duplicate-object"}
    | _NO_OBJECTS,
    "no-objects": {"unannotated-image", "no-mask"},
    "ids-not-separate": {"class-too-rare"},
}
# What follows from a problem of one split for the others.
_EVERYWHERE = {"unreadable-split": {"no-validation", "class-only-in-train", "class-only-in-val"}}
# What follows from a problem of one annotation or image for itself.
_AT_PLACE = {
    "xyxy-box": {"box-mask-disagree", "partly-outside", "smaller-than-stride"},
    "degenerate-polygon": {"self-intersection", "long-object", "area-disagree", "smaller-than-stride"},
    "partly-outside": {"box-mask-disagree"},
    "whole-image-mask": {"mask-is-box"},
}


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What was found in one data set.

    Attributes:
        path: the data.
        images, objects: how many are usable, by split.
        problems: errors first, then in the order of the catalogue, of splits and of files.
        repair: the corrected copy, if one was written.
    """

    path: str
    images: dict[str, int]
    objects: dict[str, int]
    problems: list[Problem]
    repair: Repair | None = None

    @property
    def errors(self) -> int:
        """Number of problems that are errors."""
        return self.count("error")

    @property
    def counts(self) -> dict[str, int]:
        """Number of problems by check, in their order."""
        return dict(Counter(problem.check for problem in self.problems))

    def count(self, severity: str) -> int:
        """Number of problems of a severity."""
        return sum(problem.severity == severity for problem in self.problems)

    def groups(self) -> Iterator[Finding]:
        """The problems by check, in their order."""
        by_check: dict[str, list[Problem]] = {}
        for problem in self.problems:
            by_check.setdefault(problem.check, []).append(problem)
        for check, problems in by_check.items():
            about = CHECKS[check].about if check in CHECKS else problems[0].what
            yield Finding(check, about, any(problem.fixable for problem in problems), problems)

    def place(self, problem: Problem) -> str:
        """Where a problem is and what was found, with files relative to the data."""
        split = f"[{problem.split}] " if problem.split else ""
        return f"{split}{problem.where}: {problem.what}".replace(f"{self.path.rstrip('/')}/", "")

    def totals(self) -> str:
        """How many images, objects and problems there are."""
        sizes = ", ".join(
            f"{split or 'data'} {plural(images, 'image')} with {plural(self.objects[split], 'object')}"
            for split, images in self.images.items()
        )
        counts = ", ".join(plural(count, severity) for severity in SEVERITIES if (count := self.count(severity)))
        return f"{self.path}: {sizes}: {counts or 'nothing found'}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        content: dict[str, Any] = {
            "data": self.path,
            "images": self.images,
            "objects": self.objects,
            "counts": self.counts,
            "findings": [{key: getattr(problem, key) for key in _KEYS} for problem in self.problems],
        }
        if self.repair is not None:
            done = self.repair
            content["copy"] = {"folder": str(done.folder), "mended": done.fixed, "left_out": done.left_out}
            content["copy"]["after"] = done.after.to_dict()
        return content

    def __repr__(self) -> str:
        return f"Diagnosis({self.totals()})"

    def __str__(self) -> str:
        lines = []
        for finding in self.groups():
            lines.append(f"{finding.severity} {finding.check} ({finding.number}): {finding.about}")
            lines += [f"    {self.place(problem)}" for problem in finding.problems[:EXAMPLES]]
            lines += [f"    … and {finding.more:,} more"] * bool(finding.more)
            lines.append(f"    → {finding.problems[0].fix}")
        copy = [*self.repair.lines(), str(self.repair.after)] if self.repair else []
        return "\n".join([*lines, self.totals(), *copy])

    def _repr_html_(self) -> str:
        parts = [f"<div><b>{escaped(self.totals())}</b></div>"]
        for finding in self.groups():
            places = [self.place(problem) for problem in finding.problems]
            parts.append(
                f"<details><summary>{escaped(finding.severity)} <b>{escaped(finding.check)}</b> "
                f"({escaped(finding.number)}): {escaped(finding.about)}<br>→ {escaped(finding.problems[0].fix)}"
                f"</summary>{html_lines(places)}</details>"
            )
        if self.repair is not None:
            parts += [html_lines(self.repair.lines()), self.repair.after._repr_html_()]
        return f"<div>{''.join(parts)}</div>"


class Finding(NamedTuple):
    """The problems of one check, and what it looks for."""

    check: str
    about: str
    fixable: bool
    problems: list[Problem]

    @property
    def severity(self) -> str:
        """Of the first problem."""
        return self.problems[0].severity

    @property
    def number(self) -> str:
        """How many problems there are, and whether some can be corrected."""
        return f"{len(self.problems):,}{', fixable' * self.fixable}"

    @property
    def more(self) -> int:
        """How many problems there are beside the examples."""
        return max(len(self.problems) - EXAMPLES, 0)


class Repair(NamedTuple):
    """What was done in a corrected copy."""

    folder: Path
    fixed: dict[str, int]  # number of problems by check
    left_out: list[str]  # a line for each reason why images or objects are not in the copy
    after: Diagnosis  # of the copy

    def lines(self) -> list[str]:
        """What was done, a fact a line."""
        fixed = [f"    fixed {check}: {count:,}" for check, count in self.fixed.items()]
        left_out = [f"    {line}" for line in self.left_out]
        return [f"corrected copy in {self.folder}", *fixed, *left_out, "the copy was examined again:"]


def without_consequences(problems: Sequence[Problem]) -> list[Problem]:
    """The problems without those that only follow from another."""
    in_split: dict[str, set[str]] = defaultdict(set)
    at_place: dict[tuple[str, str, int | None], set[str]] = defaultdict(set)
    everywhere: set[str] = set()
    for problem in problems:
        everywhere |= _EVERYWHERE.get(problem.check, set())
        in_split[problem.split] |= _IN_SPLIT.get(problem.check, set())
        at_place[_place(problem)] |= _AT_PLACE.get(problem.check, set())
    return [p for p in problems if p.check not in everywhere | in_split[p.split] | at_place[_place(p)]]


def _place(problem: Problem) -> tuple[str, str, int | None]:
    return problem.split, problem.file, problem.annotation


def in_order(problems: Iterable[Problem], splits: list[str]) -> list[Problem]:
    """Each problem once, errors first, in an order that depends on nothing but the problems."""

    def key(problem: Problem) -> tuple[Any, ...]:
        return (
            SEVERITIES.index(problem.severity),
            _ORDER.get(problem.check, len(_ORDER)),
            problem.check,
            splits.index(problem.split) if problem.split in splits else -1,
            _natural(problem.file),
            -1 if problem.annotation is None else problem.annotation,
            _natural(problem.entry),
            problem.what,
        )

    return sorted(ProblemLog(problems), key=key)


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Text as people sort it: file2 before file10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]
