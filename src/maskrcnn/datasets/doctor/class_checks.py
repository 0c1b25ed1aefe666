"""What can be said of classes: their names, how many objects they have, whether splits agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from maskrcnn.datasets.dataset import SPLITS
from maskrcnn.datasets.doctor.checks import FEW_OBJECTS
from maskrcnn.datasets.doctor.diagnosis import Finding, found, in_split
from maskrcnn.datasets.doctor.look import Look
from maskrcnn.text import plural

_SHIFT_CLASSES, _SHIFT_OBJECTS = 4, 50  # from which frequencies say something


def class_findings(
    names: Mapping[str, Sequence[str]], looks: Mapping[str, Sequence[Look]], sources: Mapping[str, str | Path]
) -> list[Finding]:
    """Faults of classes within and between splits; `names` of each split, training first."""
    findings: list[Finding] = []
    counts = {split: _class_counts(looks[split], len(names[split])) for split in names}
    for split, known in names.items():
        findings += in_split(_alike(known, sources[split]), split)
    training = next((split for split in names if split in ("", *SPLITS["train"])), None)
    held_out = next((split for split in names if split in SPLITS["val"]), None)
    if training is None:
        return findings
    learned = dict(zip(names[training], counts[training].tolist(), strict=True))
    if not any(learned.values()):
        return findings
    measured = dict(zip(names[held_out], counts[held_out].tolist(), strict=True)) if held_out is not None else {}
    of_classes = []
    for name in dict.fromkeys((*learned, *measured)):
        here, there = learned.get(name, 0), measured.get(name, 0)
        if not here and not there:
            of_classes.append(found("class-without-examples", sources[training], f"class {name!r} has no object"))
        elif not here:
            what = f"class {name!r} has {plural(there, 'object')} in {held_out} and none in {training or 'the data'}"
            of_classes.append(found("class-only-in-val", sources[training], what))
        elif here < FEW_OBJECTS:
            of_classes.append(
                found("class-too-rare", sources[training], f"class {name!r} has {plural(here, 'object')}")
            )
        if here and not there and any(measured.values()):
            what = f"class {name!r} has {plural(here, 'object')} in {training} and none in {held_out}"
            of_classes.append(found("class-only-in-train", sources[training], what))
    findings += in_split(of_classes, training)
    if held_out is None:
        what = f"{training or 'one set without splits'} alone"
        return [*findings, *in_split([found("no-validation", sources[training], what)], training)]
    between = _order(names[training], names[held_out], sources[held_out], training)
    between += _shift(names[training], names[held_out], counts[training], counts[held_out], sources[held_out], training)
    return [*findings, *in_split(between, held_out)]


def _class_counts(looks: Sequence[Look], classes: int) -> np.ndarray:
    """Objects of each class, int64 [C], crowds left out."""
    counts = np.zeros(classes, dtype=np.int64)
    for look in looks:
        counts += np.bincount(look.labels[~look.crowd], minlength=classes)
    return counts


def _alike(names: Sequence[str], source: str | Path) -> list[Finding]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault("".join(c for c in name.casefold() if c.isalnum()) or name, []).append(name)
    return [
        found("class-names-alike", source, " and ".join(map(repr, group)))
        for group in groups.values()
        if len(group) > 1
    ]


def _order(training: Sequence[str], held_out: Sequence[str], source: str | Path, split: str) -> list[Finding]:
    if tuple(training) == tuple(held_out) or set(training) != set(held_out):
        return []
    place = next(i for i, (a, b) in enumerate(zip(training, held_out, strict=True)) if a != b)
    what = f"class number {place + 1} is {held_out[place]!r} here and {training[place]!r} in {split}"
    return [found("class-order", source, what)]


def _shift(
    training: Sequence[str],
    held_out: Sequence[str],
    learned: np.ndarray,
    measured: np.ndarray,
    source: str | Path,
    split: str,
) -> list[Finding]:
    """Whether class frequencies agree only after moving them by one class."""
    enough = min(learned.sum(), measured.sum()) >= _SHIFT_OBJECTS and len(learned) >= _SHIFT_CLASSES
    if tuple(training) != tuple(held_out) or not enough:
        return []
    as_is = _alignment(learned, measured)
    moved = {1: _alignment(learned[1:], measured[:-1]), -1: _alignment(learned[:-1], measured[1:])}
    shift = max(moved, key=moved.__getitem__)
    if not (as_is < 0.5 and moved[shift] > 0.9):
        return []
    what = (
        f"class frequencies agree with {split} to {as_is:.2f} as they are (cosine), "
        f"to {moved[shift]:.2f} with ids moved by {shift:+d}"
    )
    return [found("class-shift", source, what)]


def _alignment(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine between two vectors of counts, 0 if one is empty."""
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 0.0
