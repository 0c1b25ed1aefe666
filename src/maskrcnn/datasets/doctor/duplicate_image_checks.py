"""Images that show the same picture: the same file twice, or copies of it, within a split and across splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.checks import problem_of
from maskrcnn.datasets.doctor.examined_image import ExaminedSplit
from maskrcnn.images.fingerprint import Fingerprint, group_similar, similarity
from maskrcnn.text import listed

_SHOWN = 4


class _Copy(NamedTuple):
    """One image of one split, its number of objects, and its fingerprint."""

    split: str
    file: str
    objects: int
    fingerprint: Fingerprint


def check_copies(splits: Sequence[ExaminedSplit]) -> list[Problem]:
    """Duplicates and leaks among the images of all splits; the training split comes first."""
    images = [
        _Copy(split.name, str(image.path), len(image.ids), image.file.fingerprint)
        for split in splits
        for image in split.images
        if image.file.fingerprint is not None
    ]
    groups = [[images[index] for index in group] for group in group_similar([image.fingerprint for image in images])]
    return [problem for group in groups if len(group) > 1 for problem in _check_group(group)]


def _check_group(group: list[_Copy]) -> list[Problem]:
    problems: list[Problem] = []
    different: list[_Copy] = []  # of each split one of each file
    for image in group:
        same = [other for other in different if other.fingerprint.digest == image.fingerprint.digest]
        twin = next((other for other in same if other.split == image.split), None)
        if twin is not None:
            labels = _labels(twin, image)
            what = f"the same file as {twin.file}{labels}"
            # Which of two different sets of labels is right is for people to say.
            duplicate = problem_of("duplicate-image", image.file, what, split=image.split)
            problems.append(replace(duplicate, fixable=not labels))
            continue
        for other in same:
            what = f"the same file as {image.file} of {image.split}{_labels(other, image)}"
            problems.append(problem_of("leak", other.file, what, split=other.split))
        different.append(image)
    by_split: dict[str, list[_Copy]] = {}
    for image in different:
        by_split.setdefault(image.split, []).append(image)
    earlier: list[_Copy] = []
    for members in by_split.values():
        problems += _similar_within(members)
        problems += [problem for image in members for problem in _similar_before(image, earlier)]
        earlier += members
    return problems


def _similar_within(members: list[_Copy]) -> list[Problem]:
    """One problem for all images of one split that show the same picture."""
    if len(members) < 2:
        return []
    least = min(max(similarity(m.fingerprint, o.fingerprint) for o in members if o is not m) for m in members[:50])
    others = listed([member.file for member in members[1:]], _SHOWN)
    what = f"{len(members)} images show this picture (similarity {least:.2f} or more): {others}"
    return [problem_of("similar-image", members[0].file, what, split=members[0].split)]


def _similar_before(image: _Copy, earlier: list[_Copy]) -> list[Problem]:
    """One problem for an image that an earlier split shows too, naming the most similar one there."""
    if not earlier or any(other.fingerprint.digest == image.fingerprint.digest for other in earlier):
        return []
    values = [similarity(image.fingerprint, other.fingerprint) for other in earlier]
    best = max(range(len(earlier)), key=values.__getitem__)
    what = f"similarity {values[best]:.2f} to {earlier[best].file} of {earlier[best].split}"
    return [problem_of("similar-leak", image.file, what, split=image.split)]


def _labels(first: _Copy, second: _Copy) -> str:
    a, b = first.objects, second.objects
    return f", but labelled otherwise: objects here {b}, there {a}" if a != b else ""
