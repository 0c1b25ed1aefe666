"""Checks of one image file: whether it can be read, its size, EXIF orientation, channels and values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.checks import NARROW_RANGE, TINY_IMAGE, problem_of
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.fingerprint import Fingerprint, file_digest, perceptual_hash, stored_pixels
from maskrcnn.images.image_reader import Header, image_size, read_header

_TURNED = (5, 6, 7, 8)


class ExaminedFile(NamedTuple):
    """One image file, read; of an unreadable one only the problems are known."""

    problems: list[Problem]
    size: tuple[int, int] | None = None  # (H, W) after EXIF orientation
    grey: bool = False  # whether it has one channel
    fingerprint: Fingerprint | None = None


def examine_file(record: ImageRecord) -> ExaminedFile:
    """Read one image and check it against the size that its labels were made for."""
    path = record.path
    try:
        header = read_header(path)
        pixels = stored_pixels(path)
    except MaskRCNNError as error:
        return ExaminedFile([problem_of("unreadable-image", path, error.what)])
    size: tuple[int, int] = (pixels.shape[0], pixels.shape[1])
    problems = [*_orientation(path, header, size, record.size), *_channels(path, header, pixels)]
    if min(size) < TINY_IMAGE:
        problems.append(problem_of("tiny-image", path, f"{size[1]} x {size[0]} pixels"))
    signs = perceptual_hash(pixels)
    low, high = int(pixels.min()), int(pixels.max())
    if not signs:
        problems.append(problem_of("blank-image", path, f"values {low}..{high}, averages of 32 x 32 parts all alike"))
    elif pixels.dtype == np.uint16 and high - low < NARROW_RANGE * 65536:
        what = f"16-bit values {low}..{high}, {(high - low + 1) / 65536:.2%} of 0..65535"
        problems.append(problem_of("narrow-range", path, what))
    return ExaminedFile(problems, size, pixels.shape[2] == 1, Fingerprint(file_digest(path), signs))


def explain_mismatch(problem: Problem) -> Problem:
    """The same problem, or in place of a size mismatch the EXIF orientation that explains it."""
    if problem.check != "size-mismatch":
        return problem
    try:
        header = read_header(problem.file)
        turned = image_size(problem.file)
    except MaskRCNNError:
        return problem
    stored = f"{header.size[0]} x {header.size[1]}"
    explains = header.orientation in _TURNED and turned != header.size and stored in problem.what
    # `repair` only writes images that their reader can use.
    return replace(_exif(problem.file, header), fixable=False) if explains else problem


def _orientation(path: Path, header: Header, size: tuple[int, int], labelled: tuple[int, int]) -> list[Problem]:
    if size == labelled:
        if header.orientation > 1 and (header.orientation not in _TURNED or size[0] == size[1]):
            return [problem_of("exif-unclear", path, f"EXIF orientation {header.orientation}, {size[1]} x {size[0]}")]
        return []
    if header.orientation in _TURNED and header.size == labelled:
        return [_exif(path, header)]
    across, down = size[1] / labelled[1], size[0] / labelled[0]
    what = f"the labels are for {labelled[1]} x {labelled[0]} (width x height), the image has {size[1]} x {size[0]}"
    if size == labelled[::-1]:
        what += ": width and height are swapped"
    elif abs(across - down) < 0.01 * down:
        what += f": {across:.3g} times as large"
    return [problem_of("size-mismatch", path, what)]


def _exif(path: str | Path, header: Header) -> Problem:
    height, width = header.size
    what = (
        f"the labels are for {width} x {height} (width x height), as stored; "
        f"EXIF orientation {header.orientation} turns the image to {height} x {width}"
    )
    return problem_of("exif-rotation", path, what)


def _channels(path: Path, header: Header, pixels: np.ndarray) -> list[Problem]:
    channels = pixels.shape[2]
    if header.frames > 1:
        all_of_them = f"; a model of {channels} channels takes them all" if channels == header.frames else ""
        what = f"{header.frames} frames or pages, the first is used{all_of_them}"
        return [problem_of("several-frames", path, what)]
    if channels in (1, 3):
        return []
    use = "transparency is laid on white" if channels == 4 else f"only a model of {channels} channels takes it"
    return [problem_of("channel-count", path, f"{channels} channels ({header.mode}): {use}")]
