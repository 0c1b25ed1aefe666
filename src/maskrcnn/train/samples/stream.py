"""The endless stream of training samples: shuffled, augmented, and a pure function of a seed and a position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset as TorchDataset

from maskrcnn.annotations.problem import Problem, unreadable
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.train.samples.augment import Augmentation, Plan
from maskrcnn.train.samples.copy_paste import copy_paste
from maskrcnn.train.samples.instances import Shapes, shapes_of
from maskrcnn.train.samples.sample import PATCH_LIMIT, Picture, Sample, samples_of

# As fine as pixels, whatever the size: for objects that are pasted.
_UNLIMITED = 2**30


class Item(NamedTuple):
    """One sample of the stream.

    Attributes:
        sample: what the model is to see.
        image: the place of its image in the data set.
        problems: what was met on the way and could not be used, unless told before.
        pasted: the place of the image that objects were pasted from; -1 for none.
    """

    sample: Sample
    image: int
    problems: list[Problem]
    pasted: int = -1


class _Take(NamedTuple):
    """An image of the data set, its objects, and what is to happen to it."""

    image: int
    shapes: Shapes
    plan: Plan


@dataclass
class _Slot:
    """A position on its way to an item.

    Attributes:
        rng: draws all that is random about it.
        order: the images of its epoch, as places in the data set.
        next: the place in that order of the image to try next: those that follow stand in for one that cannot be read.
        tries: how many are left.
        main: the image that is taken.
        source: the one that objects are to be pasted from, if any.
        seed: for the losses.
        problems: what was met.
    """

    rng: np.random.Generator
    order: np.ndarray
    next: int
    tries: int
    main: _Take | None = None
    source: _Take | None = None
    seed: int = 0
    problems: list[Problem] = field(default_factory=list)


class TrainingStream(TorchDataset[Item]):
    """Sample number ``position`` of an endless stream: epoch after epoch, each in its own order.

    Everything random follows from (seed, position), so that a run can stop and go on anywhere, and workers and
    processes can share the work in any way.

    Args:
        canvas: height and width that samples are cut to; None for no cut.
    """

    def __init__(
        self, dataset: Dataset, preprocess: Preprocess, augmentation: Augmentation, canvas: int | None, seed: int
    ) -> None:
        self.dataset, self.preprocess, self.augmentation = dataset, preprocess, augmentation
        self.canvas, self.seed = canvas, seed
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))
        self._told: set[Problem] = set()

    def __getitem__(self, position: int) -> Item:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Item]:
        """The items of some positions, made together because that is faster.

        Raises:
            MaskRCNNError: no image of the data set can be read.
        """
        slots = [self._slot(position) for position in positions]
        mains = [self._main_picture(slot) for slot in slots]
        sources = [picture for slot in slots if (picture := self._source_picture(slot)) is not None]
        samples = samples_of([*mains, *sources])
        rest = iter(samples[len(mains) :])
        return [self._item(slot, sample, rest) for slot, sample in zip(slots, samples, strict=False)]

    def _slot(self, position: int) -> _Slot:
        """All that is drawn for a position before pixels are read."""
        count = len(self.dataset)
        epoch, offset = divmod(position, count)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(count)
        slot = _Slot(np.random.default_rng([self.seed, epoch, offset]), self._order[1], offset, count)
        slot.main = self._next_take(slot)
        if slot.rng.random() < self.augmentation.copy_paste:
            slot.source = self._take(slot, int(slot.rng.integers(count)))
        slot.seed = int(slot.rng.integers(2**63))
        return slot

    def _next_take(self, slot: _Slot) -> _Take:
        while slot.tries:
            image = int(slot.order[slot.next % len(slot.order)])
            slot.next, slot.tries = slot.next + 1, slot.tries - 1
            take = self._take(slot, image)
            if take is not None:
                return take
        raise MaskRCNNError(f"no image of the data set can be read; the first: {slot.problems[0]}")

    def _take(self, slot: _Slot, image: int) -> _Take | None:
        """An image with its objects and a random plan; None if its labels cannot be read, which the problems tell."""
        record, known = self.dataset.records[image], len(self.dataset.problems)
        try:
            annotations = self.dataset.annotations(image)
        except MaskRCNNError as error:
            slot.problems.append(unreadable(error, "unreadable-image"))
            return None
        shapes, lost = shapes_of(annotations, record.size, record.labels or record.path)
        slot.problems += self.dataset.problems[known:] + lost
        plan = self.augmentation.plan(record.size, shapes.boxes, self.preprocess, self.canvas, slot.rng)
        return _Take(image, shapes, plan)

    def _main_picture(self, slot: _Slot) -> Picture:
        while True:
            assert slot.main is not None
            picture = self._picture(slot, slot.main, PATCH_LIMIT)
            if picture is not None:
                return picture
            slot.main = self._next_take(slot)

    def _source_picture(self, slot: _Slot) -> Picture | None:
        picture = self._picture(slot, slot.source, _UNLIMITED) if slot.source is not None else None
        slot.source = slot.source if picture is not None else None
        return picture

    def _picture(self, slot: _Slot, take: _Take, limit: int) -> Picture | None:
        """The image read; None if it cannot be, which the problems tell."""
        try:
            image = self.dataset.pixels(take.image, self.preprocess, take.plan.shrink)
        except MaskRCNNError as error:
            slot.problems.append(unreadable(error, "unreadable-image"))
            return None
        return Picture(image, take.shapes, take.plan.view(image), take.plan.change, limit)

    def _item(self, slot: _Slot, sample: Sample, sources: Iterator[Sample]) -> Item:
        assert slot.main is not None
        sample, pasted = slot.main.plan.turned(sample), -1
        if slot.source is not None:
            sample = copy_paste(sample, slot.source.plan.turned(next(sources)), slot.rng)
            pasted = slot.source.image
        new = [problem for problem in dict.fromkeys(slot.problems) if problem not in self._told]
        self._told.update(new)
        return Item(replace(sample, seed=slot.seed), slot.main.image, new, pasted)
