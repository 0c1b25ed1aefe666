"""The names that labelme reserves, in whatever format its labels were exported to.

Neither is a class: regions of _background_ are no objects, each region of __ignore__ is a crowd of every class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import AnnotationReader, ImageRecord, Labels
from maskrcnn.annotations.problem import Problem

IGNORE, BACKGROUND = "__ignore__", "_background_"
NO_CLASS = (IGNORE, BACKGROUND)
IGNORED = -1  # in place of a label
_NOTHING = -2


def without_reserved(labels: Labels, where: str) -> Labels:
    """The labels with reserved names removed from the classes, and a note for each that was removed."""
    reserved = [name for name in labels.names if name in NO_CLASS]
    names = [name for name in labels.names if name not in NO_CLASS]
    if not reserved or not names:
        return labels
    meaning = {BACKGROUND: _NOTHING, IGNORE: IGNORED} | {name: label for label, name in enumerate(names)}
    new_labels = [meaning[name] for name in labels.names]
    effects = {BACKGROUND: "its regions are no objects", IGNORE: "its regions are ignored"}
    problems = [Problem("reserved-name", where, f"{n} is no class: {effects[n]}", severity="note") for n in reserved]
    records = []
    for record in labels.records:
        absent = None if record.absent is None else tuple(name for name in record.absent if name not in NO_CLASS)
        partial = tuple(name for name in record.partial if name not in NO_CLASS)
        records.append(replace(record, absent=absent, partial=partial))
    reader = _ReservedNamesReader(labels.reader, new_labels, len(names))
    return Labels(names, records, reader, [*labels.problems, *problems])


class _ReservedNamesReader:
    """Maps label l of each annotation to labels[l]; `classes` classes remain."""

    def __init__(self, reader: AnnotationReader, labels: Sequence[int], classes: int) -> None:
        self.reader, self.labels, self.classes = reader, list(labels), classes

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], Sequence[Problem]]:
        annotations, problems = self.reader(index, record)
        kept = [found._replace(label=self.labels[found.label]) for found in annotations]
        last = max((found.id for found in kept), default=0)
        kept = for_every_class([found for found in kept if found.label != _NOTHING], self.classes, last)
        return kept, problems


def for_every_class(annotations: Sequence[Annotation], classes: int, last: int) -> list[Annotation]:
    """Replaces annotations of the label IGNORED by a crowd of each class, after the others; new ids follow `last`."""
    found = [annotation for annotation in annotations if annotation.label != IGNORED]
    for region in (annotation for annotation in annotations if annotation.label == IGNORED):
        for label in range(classes):
            # The first keeps the number by which the region is found.
            found.append(region._replace(label=label, crowd=True, id=last if label else region.id))
            last += 1
    return found
