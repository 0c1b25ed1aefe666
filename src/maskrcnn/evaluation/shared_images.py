"""Measured images that the data's own train split holds too: their figures are too good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

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


def train_split(source: Source, split: str) -> Dataset | None:
    """The data's train split, if it has one beside the split that is measured and it can be read."""
    if "" in source.splits or not source.has("train") or split.lower() in ("train", "training"):
        return None
    with suppress(MaskRCNNError):
        return source.open("train")
    return None


def trained_on(dataset: Dataset, train: Dataset | None) -> np.ndarray:
    """bool [images]: those that the train split holds too, as the same file or as a copy of it to the byte."""
    if train is None:
        return np.zeros(len(dataset), dtype=bool)
    paths = {record.path.resolve() for record in train.records}
    lengths: dict[int, list[str]] = {}
    for path in paths:
        with suppress(OSError):
            lengths.setdefault(path.stat().st_size, []).append(str(path))
    digests: dict[str, str] = {}

    def is_copy(path: str, others: Sequence[str]) -> bool:
        for name in (path, *others):
            if name not in digests:
                digests[name] = file_digest(name)
        return any(digests[name] == digests[path] for name in others)

    shared = []
    for record in dataset.records:
        path, found = record.path.resolve(), False
        with suppress(OSError):
            found = path in paths or is_copy(str(path), lengths.get(path.stat().st_size, []))
        shared.append(found)
    return np.array(shared, dtype=bool)


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
    apart = f"AP on them is {parts[0]:.1f}, on the other {plural(len(shared) - count, 'image')} {parts[1]:.1f}."
    yield Recommendation(
        "trained-on",
        f"{count:,} of {plural(len(shared), 'image')} measured here {'is' if count == 1 else 'are'} in the train split "
        "too: the figures are better than on new images.",
        apart if count < len(shared) else "There is no image here that is not trained on.",
        "Remove the copies from one of the splits, train again, and measure again; `doctor` lists them.",
        subject.doctor(),
        images=tuple(path for path, twice in zip(images, shared.tolist(), strict=True) if twice)[:50],
    )
