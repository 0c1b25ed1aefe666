"""From a dataset to padded training batches: an endless shuffled stream that a seed fixes at any number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from maskrcnn.data.augment import Augmentation, Sample
from maskrcnn.data.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.batch import Batch
from maskrcnn.model.config import Preprocess
from maskrcnn.model.preprocess import resize_scale


class TrainingStream(TorchDataset[tuple[Sample, str]]):
    """Sample number ``position`` of an endless stream: epoch after epoch, each in its own order.

    Everything random follows from (seed, position), so that a run can stop and go on anywhere.
    """

    def __init__(
        self, dataset: Dataset, preprocess: Preprocess, augmentation: Augmentation, canvas: int, seed: int
    ) -> None:
        self.dataset, self.preprocess, self.augmentation = dataset, preprocess, augmentation
        self.canvas, self.seed = canvas, seed

    def __getitem__(self, position: int) -> tuple[Sample, str]:
        """The sample, and a line on the image it stands in for if that one could not be read."""
        epoch, offset = divmod(position, len(self.dataset))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))
        rng = np.random.default_rng([self.seed, epoch, offset])
        problem = ""
        for index in np.roll(order, -offset):
            try:
                sample = Sample.of(self.dataset.pixels(index), self.dataset.objects(index))
            except MaskRCNNError as error:
                problem = problem or str(error)
                continue
            height, width = sample.image.shape[:2]
            scale = resize_scale(height, width, self.preprocess)
            sample = self.augmentation(sample, scale, self.canvas, rng)
            sample.seed = int(rng.integers(2**63))
            return sample, problem
        raise MaskRCNNError(f"no image of the data set can be read; the first: {problem}")


class Positions(torch.utils.data.Sampler[int]):
    """0, 1, 2, … or from ``start`` on, without end."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        position = self.start
        while True:
            yield position
            position += 1


class Collate:
    """Samples → `Batch` on a fixed canvas, and the problems met."""

    def __init__(self, canvas: int) -> None:
        self.canvas = canvas

    def __call__(self, items: Sequence[tuple[Sample, str]]) -> tuple[Batch, list[str]]:
        samples = [sample for sample, _ in items]
        return collate(samples, (self.canvas, self.canvas)), [problem for _, problem in items if problem]


def collate(samples: Sequence[Sample], size: tuple[int, int]) -> Batch:
    """Pad samples into one batch of images of ``size`` (height, width)."""
    count, objects = len(samples), max(len(sample.labels) for sample in samples)
    regions = max(len(sample.crowd) for sample in samples)
    side = max((max(patch.shape, default=1) for sample in samples for patch in sample.patches), default=1) or 1
    batch = Batch(
        images=torch.zeros(count, 3, *size, dtype=torch.uint8),
        sizes=torch.tensor([sample.image.shape[:2] for sample in samples]),
        boxes=torch.zeros(count, objects, 4),
        labels=torch.zeros(count, objects, dtype=torch.long),
        valid=torch.zeros(count, objects, dtype=torch.bool),
        frames=torch.zeros(count, objects, 4),
        patches=torch.zeros(count, objects, side, side, dtype=torch.uint8),
        patch_sizes=torch.zeros(count, objects, 2, dtype=torch.long),
        crowd=torch.zeros(count, regions, 4),
        seeds=torch.tensor([sample.seed for sample in samples]),
    )
    for row, sample in enumerate(samples):
        height, width = sample.image.shape[:2]
        batch.images[row, :, :height, :width] = torch.from_numpy(np.array(sample.image)).permute(2, 0, 1)
        number = len(sample.labels)
        batch.boxes[row, :number] = torch.from_numpy(sample.boxes)
        batch.labels[row, :number] = torch.from_numpy(sample.labels)
        batch.frames[row, :number] = torch.from_numpy(sample.frames)
        batch.valid[row, :number] = True
        batch.crowd[row, : len(sample.crowd)] = torch.from_numpy(sample.crowd)
        for place, patch in enumerate(sample.patches):
            rows, columns = patch.shape
            batch.patches[row, place, :rows, :columns] = torch.from_numpy(np.ascontiguousarray(patch))
            batch.patch_sizes[row, place, 0], batch.patch_sizes[row, place, 1] = rows, columns
    return batch


def training_loader(
    dataset: Dataset,
    preprocess: Preprocess,
    augmentation: Augmentation,
    canvas: int,
    batch_size: int,
    workers: int,
    seed: int,
    pin_memory: bool = False,
) -> DataLoader[tuple[Batch, list[str]]]:
    """Endless batches of canvas×canvas images."""
    stream: Any = TrainingStream(dataset, preprocess, augmentation, canvas, seed)
    return DataLoader(
        stream,
        batch_size=batch_size,
        sampler=Positions(),
        num_workers=workers,
        collate_fn=Collate(canvas),
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=pin_memory,
    )
