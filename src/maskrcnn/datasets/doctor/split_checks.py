"""What can be said of a split as a whole: what its masks are like, how large objects and images are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskrcnn.config import Config
from maskrcnn.datasets.doctor.checks import FINEST_STRIDE, RECTANGLES_SHARE, SIZE_SPREAD
from maskrcnn.datasets.doctor.diagnosis import Finding, found
from maskrcnn.datasets.doctor.look import Look
from maskrcnn.datasets.doctor.numbering import missing_ids
from maskrcnn.images.image_formats import IMAGE_SUFFIXES
from maskrcnn.text import listed, plural

_PARTS_USUAL = 0.05  # share of masks in several pieces, from which objects are often hidden in part
_ENOUGH = 5  # masks; a share of fewer says nothing
_NAMED = 8


def split_findings(looks: Sequence[Look], source: str | Path) -> list[Finding]:
    """Faults that show in one split, told of `source` where they are of no single image."""
    if not looks:
        return [found("no-images", source, "no image can be used")]
    return [*_emptiness(looks, source), *_colours(looks, source), *_rectangles(looks, source), *_masks(looks, source),
            *_spread(looks, source)]  # fmt: skip


def size_findings(looks: Sequence[Look], config: Config) -> list[Finding]:
    """Objects too small, and images too crowded, for a model of this configuration."""
    from maskrcnn.datasets.survey.survey import network_scale

    findings: list[Finding] = []
    if not looks:
        return findings
    scales = network_scale(np.array([look.record.size for look in looks]), config.preprocess)
    for look, scale in zip(looks, scales, strict=True):
        file, single = look.record.path, ~look.crowd
        if single.sum() > config.max_detections:
            what = f"{int(single.sum()):,} objects, the {config.preset} preset returns at most {config.max_detections}"
            findings.append(found("crowded-image", file, what))
        sides = (look.boxes[:, 2:] - look.boxes[:, :2]) * scale
        for row in np.flatnonzero(single & (sides.max(axis=1, initial=0) < FINEST_STRIDE)):
            what = (
                f"its box is {sides[row, 0]:.1f} x {sides[row, 1]:.1f} pixels at the input size of the "
                f"{config.preset} preset, a cell {FINEST_STRIDE} x {FINEST_STRIDE}"
            )
            findings.append(found("smaller-than-stride", file, what, int(look.ids[row])))
    return findings


def _emptiness(looks: Sequence[Look], source: str | Path) -> list[Finding]:
    readable = [look for look in looks if look.readable]
    if readable and not any(len(look.ids) for look in readable):
        return [
            found("no-objects", source, f"none of its {plural(len(readable), 'image')} has an object that can be used")
        ]
    return [
        found("unannotated-image", look.record.path, "no object: training takes all of it for background")
        for look in readable
        if not len(look.ids) and not look.lost
    ]


def _colours(looks: Sequence[Look], source: str | Path) -> list[Finding]:
    read = [look for look in looks if look.image.size is not None]
    grey = [look.record.path.name for look in read if look.image.grey]
    if not 0 < len(grey) < len(read):
        return []
    what = f"{len(grey)} of {len(read)} images have one channel, the others more: {listed(grey, _NAMED)}"
    return [found("mixed-colour", source, what)]


def _rectangles(looks: Sequence[Look], source: str | Path) -> list[Finding]:
    masked = sum(int((~np.isnan(look.tight[:, 0]) & ~look.crowd).sum()) for look in looks)
    places = [(look, int(row)) for look in looks for row in np.flatnonzero(look.rectangle & ~look.crowd)]
    if len(places) >= max(_ENOUGH, RECTANGLES_SHARE * masked):
        what = f"{len(places):,} of {masked:,} masks are rectangles that fill their boxes"
        return [found("masks-are-boxes", source, what)]
    findings = []
    for look, row in places:
        width, height = look.tight[row, 2:] - look.tight[row, :2]
        what = f"its mask is a rectangle of {width:.0f} x {height:.0f} pixels"
        findings.append(found("mask-is-box", look.record.path, what, int(look.ids[row])))
    return findings


def _masks(looks: Sequence[Look], source: str | Path) -> list[Finding]:
    """Id maps: one number for all objects, and numbers that stand for two objects."""
    maps = [look for look in looks if look.raster and len(look.ids)]
    if not maps:
        return []
    lumped = [look for look in maps if len(look.ids) == 1 and look.parts[0] >= 3]
    if len(lumped) > len(maps) / 2:
        values = sorted({int(look.ids[0]) for look in lumped})
        what = (
            f"in {len(lumped)} of {len(maps)} images one value ({', '.join(map(str, values[:3]))}) marks all, in up to "
            f"{max(int(look.parts[0]) for look in lumped)} separate pieces"
        )
        return [found("ids-not-separate", source, what)]
    findings = []
    pieces = np.concatenate([look.parts[~look.crowd] for look in maps])
    usual = (pieces > 1).sum() > max(_ENOUGH, _PARTS_USUAL * pieces.size)
    for look in maps:
        is_map = look.record.labels is not None and look.record.labels.suffix.lower() in IMAGE_SUFFIXES
        # VOC keeps 255 for what is no object.
        ids = np.append(look.ids, 255) if look.ids.max() > 255 else look.ids
        if is_map and (told := missing_ids(ids, 1)):
            findings.append(found("id-gaps", look.record.path, f"the ids of its objects {told}"))
        far = (look.gaps > np.sqrt(_areas(look))) & (look.gaps > 2) & ~look.crowd
        for row in np.flatnonzero(far & (not usual)):
            what = f"{look.parts[row]} pieces, the two largest {look.gaps[row]:.0f} pixels apart"
            findings.append(found("parts-apart", look.record.path, what, int(look.ids[row])))
    return findings


def _areas(look: Look) -> np.ndarray:
    return (look.boxes[:, 2] - look.boxes[:, 0]) * (look.boxes[:, 3] - look.boxes[:, 1])


def _spread(looks: Sequence[Look], source: str | Path) -> list[Finding]:
    sizes = np.array([look.record.size for look in looks], dtype=np.float64)
    edges = np.sqrt(sizes.prod(axis=1))
    small, large = int(edges.argmin()), int(edges.argmax())
    if edges[large] <= SIZE_SPREAD * edges[small]:
        return []
    what = " to ".join(
        f"{looks[i].record.width} x {looks[i].record.height} ({looks[i].record.path.name})" for i in (small, large)
    )
    return [found("size-spread", source, what)]
