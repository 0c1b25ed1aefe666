"""From a data set to padded training batches: an endless shuffled stream, reproducible with any number of workers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from maskrcnn.annotations.problem import Problem
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.images.input_size import padded_size
from maskrcnn.model.batch import Batch
from maskrcnn.training.samples.augment import Augmentation
from maskrcnn.training.samples.sample import Sample
from maskrcnn.training.samples.stream import StreamItem, TrainingStream


class LoadedBatch(NamedTuple):
    """A batch and where it comes from."""

    batch: Batch  # padded, on the host
    images: list[int]  # indices in the data set
    problems: list[Problem]  # of the images read for it, unless this worker has reported them before
    pasted: Sequence[int] = ()  # indices of the images that objects were pasted from; -1 for none


class Collate:
    """Samples → `LoadedBatch`, padded to a square of ``canvas`` pixels, or to the largest sample if it is None.

    Args:
        divisor: without a canvas, height and width are multiples of it.
    """

    def __init__(self, canvas: int | None, divisor: int) -> None:
        self.canvas, self.divisor = canvas, divisor

    def __call__(self, items: Sequence[StreamItem]) -> LoadedBatch:
        samples, images, problems, pasted = zip(*items, strict=True)
        size = padded_size([sample.image.shape[:2] for sample in samples], self.divisor)
        batch = collate(samples, (self.canvas, self.canvas) if self.canvas else size)
        return LoadedBatch(batch, list(images), [problem for part in problems for problem in part], pasted)


def collate(samples: Sequence[Sample], size: tuple[int, int]) -> Batch:
    """Pad samples into one batch of images of ``size`` (height, width)."""
    count, objects = len(samples), max(len(sample.labels) for sample in samples)
    regions = max(len(sample.crowd) for sample in samples)
    side = max((max(patch.shape) for sample in samples for patch in sample.patches), default=1) or 1
    first = samples[0].image
    # Pixels interleaved, as the network wants them.
    images = np.zeros((count, *size, first.shape[2]), dtype=first.dtype)
    patches = np.zeros((count, objects, side, side), dtype=np.uint8)
    patch_sizes = np.zeros((count, objects, 2), dtype=np.int64)
    batch = Batch(
        images=torch.from_numpy(images).permute(0, 3, 1, 2),
        sizes=torch.tensor([sample.image.shape[:2] for sample in samples]),
        boxes=torch.zeros(count, objects, 4),
        labels=torch.zeros(count, objects, dtype=torch.long),
        valid=torch.zeros(count, objects, dtype=torch.bool),
        frames=torch.zeros(count, objects, 4),
        patches=torch.from_numpy(patches),
        patch_sizes=torch.from_numpy(patch_sizes),
        crowd=torch.zeros(count, regions, 4),
        seeds=torch.tensor([sample.seed for sample in samples]),
    )
    for row, sample in enumerate(samples):
        height, width = sample.image.shape[:2]
        images[row, :height, :width] = sample.image
        for name in ("boxes", "labels", "frames"):
            getattr(batch, name)[row, : len(sample.labels)] = torch.from_numpy(getattr(sample, name))
        batch.valid[row, : len(sample.labels)] = True
        batch.crowd[row, : len(sample.crowd)] = torch.from_numpy(sample.crowd)
        for place, patch in enumerate(sample.patches):
            rows, columns = patch.shape
            patches[row, place, :rows, :columns] = patch
            patch_sizes[row, place] = rows, columns
    return batch


def training_loader(
    dataset: Dataset,
    preprocess: Preprocess,
    augmentation: Augmentation,
    canvas: int | None,
    batch_size: int,
    workers: int,
    seed: int,
    pin_memory: bool = False,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
) -> DataLoader[LoadedBatch]:
    """Endless batches.

    Args:
        canvas: height and width of the batches; None pads each batch to its largest image.
        start: number of samples that all processes together have consumed before.
        rank, world: number of this process and of all processes; each takes every ``world``-th sample.
    """
    stream: Any = TrainingStream(dataset, preprocess, augmentation, canvas, seed)
    return DataLoader(
        stream,
        batch_size=batch_size,
        sampler=range(start + rank, sys.maxsize, world),
        num_workers=workers,
        collate_fn=Collate(canvas, preprocess.divisor),
        worker_init_fn=_leave_ctrl_c,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=pin_memory,
    )


def _leave_ctrl_c(worker: int) -> None:
    """Ignore Ctrl-C, which a terminal sends to workers too: the main process ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
