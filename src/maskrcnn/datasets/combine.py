"""Several data sets as one: classes are merged by name, and may be reduced to a selection."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import listed


def combined(
    datasets: Sequence[Dataset],
    names: Sequence[Sequence[str]] | None = None,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """All images of several data sets, in their order, with image ids 1, 2, ….

    Args:
        names: what each data set's classes are called; their own names unless given.
        classes: the classes to keep, in this order; objects of others are left out, their images stay. Default: all.

    Raises:
        MaskRCNNError: none of the data sets has one of `classes`.
    """
    called = [list(dataset.names) for dataset in datasets] if names is None else names
    known = list(dict.fromkeys(name for each in called for name in each))
    kept = list(known if classes is None else classes)
    there = set(known)
    missing = [name for name in kept if name not in there]
    if missing:
        what = f"classes: none of the data has {missing[0]!r}, only {listed(known, 8)}"
        raise MaskRCNNError(what, fix="correct the name")
    place_of = {name: place for place, name in reversed(list(enumerate(kept)))}
    labels = [[place_of.get(name, -1) for name in each] for each in called]
    records = [record for dataset in datasets for record in dataset.records]
    problems = [problem for dataset in datasets for problem in dataset.problems]
    numbered = [replace(record, id=number) for number, record in enumerate(records, start=1)]
    return Dataset(Labels(kept, numbered, _CombinedReader(datasets, labels), problems))


class _CombinedReader:
    """Reads annotations from the data set that an image belongs to, and maps their labels."""

    def __init__(self, datasets: Sequence[Dataset], labels: Sequence[Sequence[int]]) -> None:
        self.datasets, self.labels = list(datasets), list(labels)
        self.ends = list(accumulate(len(dataset) for dataset in datasets))

    @property
    def stored(self) -> bool:
        return all(dataset.stored for dataset in self.datasets)

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], Sequence[Problem]]:
        place = bisect_right(self.ends, index)
        dataset, labels = self.datasets[place], self.labels[place]
        annotations, problems = dataset.annotations(index - (self.ends[place - 1] if place else 0))
        kept = [a._replace(label=labels[a.label]) for a in annotations if labels[a.label] >= 0]
        return kept, problems
