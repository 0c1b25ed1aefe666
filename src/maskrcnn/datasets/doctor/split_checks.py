"""Checks of a split as a whole: what its masks are like, how large objects and images are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from maskrcnn.annotations.problem import Problem
from maskrcnn.config import Config
from maskrcnn.datasets.doctor.checks import problem_of
from maskrcnn.datasets.doctor.examined_image import ExaminedImage, ExaminedSplit
from maskrcnn.datasets.doctor.id_gaps import missing_ids
from maskrcnn.datasets.survey.survey import FINEST_STRIDE, network_scale
from maskrcnn.images.image_formats import IMAGE_SUFFIXES
from maskrcnn.masks.box_geometry import box_areas, box_sides
from maskrcnn.text import listed, plural

_RECTANGLES_SHARE = 0.2  # of a split's masks, from which they are taken for boxes
_SIZE_SPREAD = 10  # between the largest and the smallest image, by the root of the area
_PARTS_USUAL = 0.05  # share of masks in several pieces, from which objects are often hidden in part
_ENOUGH = 5  # masks; shares of fewer mean nothing
_NAMED = 8


def check_split(split: ExaminedSplit, config: Config) -> Iterator[Problem]:
    """Problems that show only in many images, and those for a model of this configuration."""
    images, source = split.images, split.source
    if not images:
        yield problem_of("no-images", source, "no image can be used")
        return
    yield from _empty(images, source)
    yield from _mixed_colours(images, source)
    yield from _rectangles(images, source)
    yield from _id_maps([image for image in images if image.raster and len(image.ids)], source)
    yield from _size_spread(images, source)
    yield from _network_sizes(images, config)


def _empty(images: Sequence[ExaminedImage], source: str | Path) -> Iterator[Problem]:
    readable = [image for image in images if image.readable]
    if readable and not any(len(image.ids) for image in readable):
        what = f"none of its {plural(len(readable), 'image')} has an object that can be used"
        yield problem_of("no-objects", source, what)
        return
    for image in readable:
        if not len(image.ids) and not image.lost:
            yield problem_of("unannotated-image", image.path, "no object: training uses all of it as background")


def _mixed_colours(images: Sequence[ExaminedImage], source: str | Path) -> Iterator[Problem]:
    read = [image for image in images if image.file.size is not None]
    grey = [image.path.name for image in read if image.file.grey]
    if 0 < len(grey) < len(read):
        what = f"{len(grey)} of {len(read)} images have one channel, the others more: {listed(grey, _NAMED)}"
        yield problem_of("mixed-colour", source, what)


def _rectangles(images: Sequence[ExaminedImage], source: str | Path) -> Iterator[Problem]:
    masked = sum(int((~np.isnan(image.tight[:, 0]) & ~image.crowd).sum()) for image in images)
    found = [(image, row) for image in images for row in np.flatnonzero(image.rectangle & ~image.crowd).tolist()]
    if len(found) >= max(_ENOUGH, _RECTANGLES_SHARE * masked):
        what = f"{len(found):,} of {masked:,} masks are rectangles that fill their boxes"
        yield problem_of("masks-are-boxes", source, what)
        return
    for image, row in found:
        width, height = box_sides(image.tight[row])
        what = f"its mask is a rectangle of {width:.0f} x {height:.0f} pixels"
        yield problem_of("mask-is-box", image.path, what, int(image.ids[row]))


def _id_maps(maps: Sequence[ExaminedImage], source: str | Path) -> Iterator[Problem]:
    """One number for all objects, numbers that are missing, and numbers that stand for two objects."""
    lumped = [image for image in maps if len(image.ids) == 1 and image.parts[0] >= 3]
    if len(lumped) > len(maps) / 2:
        values = sorted({int(image.ids[0]) for image in lumped})
        what = (
            f"in {len(lumped)} of {len(maps)} images one value ({', '.join(map(str, values[:3]))}) marks all, in up to "
            f"{max(int(image.parts[0]) for image in lumped)} separate pieces"
        )
        yield problem_of("ids-not-separate", source, what)
        return
    pieces = np.concatenate([np.zeros(0), *(image.parts[~image.crowd] for image in maps)])
    usual = (pieces > 1).sum() > max(_ENOUGH, _PARTS_USUAL * pieces.size)
    for image in maps:
        is_map = image.record.labels is not None and image.record.labels.suffix.lower() in IMAGE_SUFFIXES
        # VOC keeps 255 for what is no object.
        ids = np.append(image.ids, 255) if image.ids.max() > 255 else image.ids
        if is_map and (missing := missing_ids(ids, 1)):
            yield problem_of("id-gaps", image.path, f"the ids of its objects {missing}")
        far = (image.gaps > np.sqrt(box_areas(image.boxes))) & (image.gaps > 2) & ~image.crowd
        for row in np.flatnonzero(far & (not usual)):
            what = f"{image.parts[row]} pieces, the two largest {image.gaps[row]:.0f} pixels apart"
            yield problem_of("parts-apart", image.path, what, int(image.ids[row]))


def _size_spread(images: Sequence[ExaminedImage], source: str | Path) -> Iterator[Problem]:
    edges = np.sqrt(np.array([image.record.size for image in images], dtype=np.float64).prod(axis=1))
    small, large = int(edges.argmin()), int(edges.argmax())
    if edges[large] > _SIZE_SPREAD * edges[small]:
        extremes = (images[i].record for i in (small, large))
        what = " to ".join(f"{record.width} x {record.height} ({record.path.name})" for record in extremes)
        yield problem_of("size-spread", source, what)


def _network_sizes(images: Sequence[ExaminedImage], config: Config) -> Iterator[Problem]:
    """Objects too small, and images too crowded, for the model."""
    scales = network_scale(np.array([image.record.size for image in images]), config.preprocess)
    for image, scale in zip(images, scales, strict=True):
        single = ~image.crowd
        if single.sum() > config.max_detections:
            what = f"{int(single.sum()):,} objects, the {config.preset} preset returns at most {config.max_detections}"
            yield problem_of("crowded-image", image.path, what)
        sides = box_sides(image.boxes) * scale
        for row in np.flatnonzero(single & (sides.max(axis=1, initial=0) < FINEST_STRIDE)):
            what = (
                f"its box is {sides[row, 0]:.1f} x {sides[row, 1]:.1f} pixels at the input size of the "
                f"{config.preset} preset, a cell {FINEST_STRIDE} x {FINEST_STRIDE}"
            )
            yield problem_of("smaller-than-stride", image.path, what, int(image.ids[row]))
