"""Measured images that the data's own train split holds too: their figures are too good.

The search is bounded: huge label files are not read for it, the sizes of a limited number of files are looked up, and a
limited number of bytes is compared. What was left out is a note.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.open_dataset import Source
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.image_resampling import ImageResampling
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.subject import Subject
from maskrcnn.images.fingerprint import file_digest
from maskrcnn.text import plural

# A share of the images from which the figures are in doubt.
_SHARE = 0.02
# Label files of at most so many bytes, and folders of at most so many files, are read to know what is trained on.
MOST_LABEL_BYTES, MOST_LABEL_FILES = 64 * 2**20, 20_000
# Images of the train split whose sizes are looked up, and bytes read to compare files of equal size.
MOST_FILES, MOST_BYTES = 20_000, 2**30
# Bytes compared first, at the start, in the middle and at the end: images without compression are all of one size.
_PART = 4096


def train_split(source: Source, split: str) -> tuple[Dataset | None, list[Problem]]:
    """The data's train split, if it can be read and is not the split that is measured; a note if it is huge."""
    if "" in source.splits or not source.has("train") or split.lower() in ("train", "training"):
        return None, []
    with suppress(MaskRCNNError, OSError):
        if huge := next(filter(None, map(_extent, source.label_places("train"))), ""):
            return None, [_not_compared(source.path, f"the labels of the train split are not read for it: {huge}")]
        return source.open("train"), []
    return None, []


def _extent(place: Path) -> str:
    """What makes a label file, or a folder of labels, too large to be read for this; "" if nothing does."""
    if place.is_file():
        size = place.stat().st_size
        return f"{place.name} has {size / 2**20:,.0f} MiB" if size > MOST_LABEL_BYTES else ""
    more = next(islice(place.iterdir(), MOST_LABEL_FILES, None), None)
    return "" if more is None else f"{place.name} has more than {MOST_LABEL_FILES:,} files"


def trained_on(dataset: Dataset, train: Dataset | None) -> tuple[np.ndarray, list[Problem]]:
    """bool [images]: those that the train split holds too, as the same file or as a copy of it to the byte.

    Returns:
        Also a note on what was not compared.
    """
    search = _Search(dataset, train)
    return np.array([search.finds(record.path) for record in dataset.records], dtype=bool), search.notes()


class _Search:
    """The files of a train split by size, and what was read of them."""

    def __init__(self, dataset: Dataset, train: Dataset | None) -> None:
        names = {record.path.name for record in dataset.records}
        paths = dict.fromkeys(record.path for record in train.records) if train is not None else {}
        self.place = "" if train is None or train.place is None else str(train.place)
        # Of too many, those under a name that is measured are the likeliest copies.
        ranked = sorted(paths, key=lambda path: path.name not in names)
        self.count, self.left, self.unread = len(ranked), MOST_BYTES, 0
        self.files: set[tuple[int, int] | Path] = set()
        self.of_size: dict[int, list[Path]] = {}
        self.parts: dict[Path, bytes] = {}
        self.digests: dict[Path, str] = {}
        for path in ranked[:MOST_FILES]:
            with suppress(OSError):
                found = path.stat()
                self.files |= {path, (found.st_dev, found.st_ino)}
                self.of_size.setdefault(found.st_size, []).append(path)

    def finds(self, path: Path) -> bool:
        """Whether an image is one of those files, or a copy of one."""
        with suppress(OSError):
            found = path.stat()
            if path in self.files or (found.st_ino and (found.st_dev, found.st_ino) in self.files):
                return True
            alike = [other for other in self.of_size.get(found.st_size, ()) if self._part(other) == self._part(path)]
            if alike and len({path, *alike} - self.digests.keys()) * found.st_size > self.left:
                self.unread += 1
                return False
            return any(self._digest(other) == self._digest(path) for other in alike)
        return False

    def notes(self) -> list[Problem]:
        """What was not compared, in words."""
        lines = []
        if self.count > MOST_FILES:
            lines.append(
                f"{MOST_FILES:,} of {self.count:,} images of the train split, equal names first, were compared"
            )
        if self.unread:
            lines.append(
                f"for {plural(self.unread, 'image')} more than {MOST_BYTES / 2**30:g} GiB would have to be read"
            )
        return [_not_compared(self.place, "; ".join(lines))] if lines else []

    def _part(self, path: Path) -> bytes:
        if path not in self.parts:
            with path.open("rb") as file:
                size = path.stat().st_size
                read = hashlib.sha256()
                for place in (0, size // 2, max(size - _PART, 0)):
                    file.seek(place)
                    read.update(file.read(_PART))
            self.parts[path] = read.digest()
        return self.parts[path]

    def _digest(self, path: Path) -> str:
        if path not in self.digests:
            self.left -= path.stat().st_size
            self.digests[path] = file_digest(path)
        return self.digests[path]


def _not_compared(place: str | Path, why: str) -> Problem:
    what = f"not all images measured here were searched for among those that are trained on: {why}"
    return Problem("not-compared", str(place), what, "doctor compares all", severity="note")


def shared_image_advice(
    shared: np.ndarray, resampling: ImageResampling, subject: Subject, images: Sequence[str]
) -> Iterator[Recommendation]:
    """Advice on images that are trained on as well.

    Args:
        shared: bool [I], for each measured image.
        images: their paths.
    """
    count = int(shared.sum())
    if not count or count < _SHARE * len(shared):
        return
    parts = resampling.ap(np.stack((shared, ~shared)).astype(np.int64)).tolist()
    on_shared, on_others = ("unknown (no object is labelled)" if np.isnan(ap) else f"{ap:.1f}" for ap in parts)
    apart = f"AP on them is {on_shared}, on the other {plural(len(shared) - count, 'image')} {on_others}."
    yield Recommendation(
        "trained-on",
        f"{count:,} of {plural(len(shared), 'image')} measured here {'is' if count == 1 else 'are'} in the train split "
        "too: the figures are better than on new images.",
        apart if count < len(shared) else "There is no image here that is not trained on.",
        "Remove the copies from one of the splits, train again, and measure again; `doctor` lists them.",
        subject.doctor(),
        images=tuple(path for path, twice in zip(images, shared.tolist(), strict=True) if twice)[:50],
    )
