"""Images that show the same picture: the same file twice, or copies of it, within a split and across splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from maskrcnn.datasets.doctor.diagnosis import Finding, found, in_split
from maskrcnn.datasets.doctor.look import Look
from maskrcnn.images.fingerprint import Fingerprint, group_similar, similarity
from maskrcnn.text import listed

_SHOWN = 4


class _Picture:
    """One image of one split with its fingerprint."""

    def __init__(self, split: str, look: Look, fingerprint: Fingerprint) -> None:
        self.split, self.look, self.fingerprint = split, look, fingerprint

    @property
    def file(self) -> str:
        return str(self.look.record.path)

    @property
    def digest(self) -> str:
        return self.fingerprint.digest


def copy_findings(looks: Mapping[str, Sequence[Look]]) -> list[Finding]:
    """Duplicates and leaks among the images of all splits, in the order of the splits: training first."""
    pictures = [
        _Picture(split, look, look.image.fingerprint)
        for split, members in looks.items()
        for look in members
        if look.image.fingerprint is not None
    ]
    findings: list[Finding] = []
    for group in group_similar([picture.fingerprint for picture in pictures]):
        if len(group) > 1:
            findings += _group_findings([pictures[index] for index in group])
    return findings


def _group_findings(group: list[_Picture]) -> list[Finding]:
    findings: list[Finding] = []
    different: list[_Picture] = []  # of each split one of each file
    for picture in group:
        same = [other for other in different if other.digest == picture.digest]
        within = [other for other in same if other.split == picture.split]
        if within:
            labels = _labels(within[0], picture)
            finding = found("duplicate-image", picture.file, f"the same file as {within[0].file}{labels}")
            # Which of two different sets of labels is right is for people to say.
            findings += in_split([replace(finding, fixable=not labels)], picture.split)
            continue
        for other in same:
            what = f"the same file as {picture.file} of {picture.split}{_labels(other, picture)}"
            findings += in_split([found("leak", other.file, what)], other.split)
        different.append(picture)
    by_split: dict[str, list[_Picture]] = {}
    for picture in different:
        by_split.setdefault(picture.split, []).append(picture)
    splits = list(by_split)
    for number, split in enumerate(splits):
        findings += _alike_within(by_split[split])
        earlier = [picture for before in splits[:number] for picture in by_split[before]]
        for picture in by_split[split]:
            findings += _alike_before(picture, earlier)
    return findings


def _alike_within(members: list[_Picture]) -> list[Finding]:
    """One finding for all images of one split that show the same picture."""
    if len(members) < 2:
        return []
    least = min(max(similarity(m.fingerprint, o.fingerprint) for o in members if o is not m) for m in members[:50])
    others = [member.file for member in members[1:]]
    what = f"{len(members)} images show this picture (similarity {least:.2f} or more): {listed(others, _SHOWN)}"
    return in_split([found("similar-image", members[0].file, what)], members[0].split)


def _alike_before(picture: _Picture, earlier: list[_Picture]) -> list[Finding]:
    """One finding for an image that an earlier split shows too, naming the most similar one there."""
    if not earlier or any(other.digest == picture.digest for other in earlier):
        return []
    values = [similarity(picture.fingerprint, other.fingerprint) for other in earlier]
    best = max(range(len(earlier)), key=values.__getitem__)
    what = f"similarity {values[best]:.2f} to {earlier[best].file} of {earlier[best].split}"
    return in_split([found("similar-leak", picture.file, what)], picture.split)


def _labels(first: _Picture, second: _Picture) -> str:
    a, b = len(first.look.ids), len(second.look.ids)
    return f", but labelled otherwise: objects here {b}, there {a}" if a != b else ""
