"""All problems of one data set: without those that only follow from others, and in an order of their own."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from maskrcnn.annotations.problem import Problem
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.datasets.doctor.checks import CHECKS

_SEVERITIES = ("error", "warning", "note")
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


@dataclass(frozen=True)
class Diagnosis:
    """What was found in one data set.

    Attributes:
        path: the data.
        images, objects: how many are usable, by split.
        problems: errors first, then in the order of the catalogue, of splits and of files.
    """

    path: str
    images: dict[str, int]
    objects: dict[str, int]
    problems: list[Problem]

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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "data": self.path,
            "images": self.images,
            "objects": self.objects,
            "counts": self.counts,
            "findings": [{key: getattr(problem, key) for key in _KEYS} for problem in self.problems],
        }


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
            _SEVERITIES.index(problem.severity),
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
