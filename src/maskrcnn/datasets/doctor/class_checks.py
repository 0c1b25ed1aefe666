"""Checks of classes: their names, how many objects they have, whether splits agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.checks import FEW_OBJECTS, problem_of
from maskrcnn.datasets.doctor.examined_image import ExaminedSplit
from maskrcnn.datasets.formats.split_names import TEST, TRAIN, VAL
from maskrcnn.text import plural

_SHIFT_CLASSES, _SHIFT_OBJECTS = 4, 50  # from which frequencies say something


def check_classes(splits: Sequence[ExaminedSplit]) -> list[Problem]:
    """Problems of classes within and between splits; the training split comes first."""
    problems = [problem for split in splits for problem in _similar_names(split)]
    training = next((split for split in splits if split.name in ("", *TRAIN)), None)
    held_out = next((split for split in splits if split.name in (*VAL, TEST)), None)
    if training is None or not training.class_counts.any():
        return problems
    problems += _examples(training, held_out)
    if held_out is not None:
        return [*problems, *_order(training, held_out), *_shift(training, held_out)]
    what = f"only {training.name or 'one set without splits'}"
    return [*problems, problem_of("no-validation", training.source, what, split=training.name)]


def _similar_names(split: ExaminedSplit) -> list[Problem]:
    groups: dict[str, list[str]] = {}
    for name in split.names:
        groups.setdefault("".join(c for c in name.casefold() if c.isalnum()) or name, []).append(name)
    return [
        problem_of("class-names-alike", split.source, " and ".join(map(repr, group)), split=split.name)
        for group in groups.values()
        if len(group) > 1
    ]


def _examples(training: ExaminedSplit, held_out: ExaminedSplit | None) -> list[Problem]:
    """Classes with too few objects, or with objects in one split only."""
    learned = dict(zip(training.names, training.class_counts.tolist(), strict=True))
    measured = dict(zip(held_out.names, held_out.class_counts.tolist(), strict=True)) if held_out is not None else {}
    there = held_out.name if held_out is not None else ""
    found = []
    for name in dict.fromkeys((*learned, *measured)):
        trained, tested = learned.get(name, 0), measured.get(name, 0)
        has = f"class {name!r} has {plural(trained, 'object')}"
        if not trained and not tested:
            found.append(("class-without-examples", f"class {name!r} has no object"))
        elif not trained:
            what = f"class {name!r} has {plural(tested, 'object')} in {there} and none in {training.name or 'the data'}"
            found.append(("class-only-in-val", what))
        elif trained < FEW_OBJECTS:
            found.append(("class-too-rare", has))
        if trained and not tested and any(measured.values()):
            found.append(("class-only-in-train", f"{has} in {training.name} and none in {there}"))
    return [problem_of(check, training.source, what, split=training.name) for check, what in found]


def _order(training: ExaminedSplit, held_out: ExaminedSplit) -> list[Problem]:
    """Whether both list the same classes in different orders."""
    if training.names == held_out.names or set(training.names) != set(held_out.names):
        return []
    place = next(i for i, (a, b) in enumerate(zip(training.names, held_out.names, strict=True)) if a != b)
    what = f"class {place + 1} is {held_out.names[place]!r} here, {training.names[place]!r} in {training.name}"
    return [problem_of("class-order", held_out.source, what, split=held_out.name)]


def _shift(training: ExaminedSplit, held_out: ExaminedSplit) -> list[Problem]:
    """Whether class frequencies agree only after moving them by one class."""
    learned, measured = training.class_counts, held_out.class_counts
    enough = min(learned.sum(), measured.sum()) >= _SHIFT_OBJECTS and len(learned) >= _SHIFT_CLASSES
    if training.names != held_out.names or not enough:
        return []
    as_is = _cosine(learned, measured)
    moved = {1: _cosine(learned[1:], measured[:-1]), -1: _cosine(learned[:-1], measured[1:])}
    shift = max(moved, key=moved.__getitem__)
    if not (as_is < 0.5 and moved[shift] > 0.9):
        return []
    what = (
        f"class frequencies agree with {training.name} to {as_is:.2f} as they are (cosine), "
        f"to {moved[shift]:.2f} with ids moved by {shift:+d}"
    )
    return [problem_of("class-shift", held_out.source, what, split=held_out.name)]


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine between two vectors of counts, 0 if one is empty."""
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 0.0
