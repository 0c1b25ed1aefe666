"""What a conversion leaves out or changes, counted by kind and reported in one line each."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from maskrcnn.annotations.problem import Problem, Severity


class _Kind(NamedTuple):
    """A message with {count}, {pixels} and {format}; `lost` if the counted objects are not in the new data set."""

    line: str
    fix: str = ""
    lost: bool = False


_KINDS = {
    "crowd": _Kind("crowd regions left out: {count}, {format} has no mark for them", "use coco to keep them", True),
    "crowd-listed": _Kind(
        "crowd regions left out: {count}, in {format} their class counts as not fully marked in such an image instead",
        "use coco to keep them",
        True,
    ),
    "crowd-void": _Kind(
        "crowd regions written as void: {count}, in {format} they end where others begin and lose thin parts, some all",
        "use coco to keep them",
    ),
    "box-only": _Kind(
        "objects without a mask left out: {count}, {format} has no place for boxes",
        "add masks, or use coco, lvis, yolo, labelme or cvat",
        True,
    ),
    "boxes-beside-masks": _Kind(
        "objects without a mask written as boxes: {count}, some YOLO tools then ignore all masks of the data",
        "add masks, or leave such objects out",
    ),
    "hidden": _Kind(
        "objects left out that lie wholly under others: {count}, in {format} a pixel has one object",
        "use a format with one mask an object, such as coco or binmask",
        True,
    ),
    "covered": _Kind(
        "objects that lose pixels to smaller ones over them: {count} ({pixels:,} pixels), in {format} a pixel has one "
        "object",
        "use a format with one mask an object, such as coco or binmask",
    ),
    "layered": _Kind(
        "images with objects over each other: {count}, their maps are TIFFs of several pages, the first with the "
        "objects on top"
    ),
    "joined": _Kind(
        "objects of several parts or with holes: {count}, written as one outline over bridges of no width",
    ),
    "many": _Kind("images with more than 254 objects: {count}, their maps have colours beyond {format}'s palette"),
    "verdicts": _Kind(
        "images with a record of absent or not fully marked classes: {count}, {format} cannot express it",
        "use lvis to keep it",
    ),
    "renamed": _Kind("images renamed, because another one has the same name or theirs cannot be written: {count}"),
    "class-names": _Kind("class names changed that label files cannot hold: {count}"),
    "turned": _Kind(
        "images that viewers turn by their EXIF orientation: {count}, copied unchanged; their labels are for "
        "the turned image",
        "save them upright for tools that ignore EXIF",
    ),
    "linked": _Kind("images copied, as they cannot be linked to from there: {count}"),
}


class Omissions:
    """Counts of what is omitted, by kind."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.counts: Counter[str] = Counter()
        self.pixels: Counter[str] = Counter()

    def add(self, kind: str, count: int = 1, pixels: int = 0) -> None:
        """Count objects (or images, or classes, by kind), and the pixels they lose."""
        if count:
            self.counts[kind] += count
            self.pixels[kind] += pixels

    def problems(self, where: object) -> list[Problem]:
        """One problem for each kind that occurred; `where` is the new data set."""
        problems = []
        for kind, (line, fix, lost) in _KINDS.items():
            if count := self.counts[kind]:
                what = line.format(count=f"{count:,}", pixels=self.pixels[kind], format=self.title)
                severity: Severity = "warning" if lost else "note"
                problems.append(Problem(f"convert-{kind}", str(where), what, fix, severity, 0, count if lost else 0))
        return problems
