"""The endless stream of training samples: shuffled, augmented, and a pure function of a seed and a position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset as TorchDataset

from maskrcnn.annotations.problem import Problem, unreadable
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset, is_windowed
from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.samples.augment import Augmentation, AugmentationPlan
from maskrcnn.training.samples.copy_paste import copy_paste
from maskrcnn.training.samples.instances import Instances, make_instances
from maskrcnn.training.samples.sample import PATCH_LIMIT, Sample, SampleInputs, make_samples

_UNLIMITED = 2**30  # cells a side: patches of objects that are pasted are as fine as pixels


class StreamItem(NamedTuple):
    """One sample of the stream and where it comes from."""

    sample: Sample
    image: int  # index in the data set
    problems: list[Problem]  # of the images read for it, unless this stream has reported them before
    pasted: int = -1  # index of the image that objects were pasted from; -1 for none


class _ChosenImage(NamedTuple):
    image: int
    instances: Instances
    plan: AugmentationPlan


@dataclass
class _PendingItem:
    """One item while it is made."""

    rng: np.random.Generator
    candidates: Iterator[int]  # indices of the images to try, in the order of the epoch; the first readable one is used
    main: _ChosenImage = field(init=False)
    source: _ChosenImage | None = None  # the image that objects are pasted from
    seed: int = 0  # for the losses
    problems: list[Problem] = field(default_factory=list)  # of the images tried


class TrainingStream(TorchDataset[StreamItem]):
    """Sample number ``position`` of an endless stream: epoch after epoch, each in its own order.

    All randomness follows from (seed, position): a run can resume at any position, and any number of workers and
    processes give the same samples.

    Args:
        canvas: height and width that samples are cut to; None for no cut.
    """

    def __init__(
        self, dataset: Dataset, preprocess: Preprocess, augmentation: Augmentation, canvas: int | None, seed: int
    ) -> None:
        self.dataset, self.preprocess, self.augmentation = dataset, preprocess, augmentation
        self.canvas, self.seed = canvas, seed
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, dtype=np.int64))
        self._problems = ProblemLog()

    def __getitem__(self, position: int) -> StreamItem:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[StreamItem]:
        """The items of some positions, made together because that is faster.

        Raises:
            MaskRCNNError: no image of the data set can be read.
        """
        items = [self._begin(position) for position in positions]
        mains = [self._read_main(item) for item in items]
        sources = [inputs for item in items if (inputs := self._read_source(item)) is not None]
        samples = make_samples([*mains, *sources])
        rest = iter(samples[len(mains) :])
        return [self._finish(item, sample, rest) for item, sample in zip(items, samples, strict=False)]

    def _begin(self, position: int) -> _PendingItem:
        """All random choices for a position, made before pixels are read."""
        count = len(self.dataset)
        epoch, offset = divmod(position, count)
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(count)
        order = self._order[1]
        candidates = map(int, chain(order[offset:], order[:offset]))
        pending = _PendingItem(np.random.default_rng([self.seed, epoch, offset]), candidates)
        pending.main = self._choose_next(pending)
        if pending.rng.random() < self.augmentation.copy_paste:
            pending.source = self._choose(pending, int(pending.rng.integers(count)))
        pending.seed = int(pending.rng.integers(2**63))
        return pending

    def _choose_next(self, pending: _PendingItem) -> _ChosenImage:
        for image in pending.candidates:
            if (chosen := self._choose(pending, image)) is not None:
                return chosen
        raise MaskRCNNError(f"no image of the data set can be read; the first: {pending.problems[0]}")

    def _choose(self, pending: _PendingItem, image: int) -> _ChosenImage | None:
        """An image with its objects and a random plan; None, and a problem, if its labels cannot be read."""
        record = self.dataset.records[image]
        try:
            annotations, left_out = self.dataset.annotations(image)
        except MaskRCNNError as error:
            pending.problems.append(unreadable(error, "unreadable-image"))
            return None
        instances, undrawable = make_instances(annotations, record.size, record.labels or record.path)
        pending.problems += [*left_out, *undrawable]
        plan = self.augmentation.plan(record.size, instances.boxes, self.preprocess, self.canvas, pending.rng)
        return _ChosenImage(image, instances, plan)

    def _read_main(self, pending: _PendingItem) -> SampleInputs:
        while (inputs := self._read(pending, pending.main, PATCH_LIMIT)) is None:
            pending.main = self._choose_next(pending)
        return inputs

    def _read_source(self, pending: _PendingItem) -> SampleInputs | None:
        inputs = self._read(pending, pending.source, _UNLIMITED) if pending.source is not None else None
        if inputs is None:
            pending.source = None
        return inputs

    def _read(self, pending: _PendingItem, chosen: _ChosenImage, limit: int) -> SampleInputs | None:
        """The pixels of a chosen image; None, and a problem, if they cannot be read."""
        plan = chosen.plan
        try:
            if is_windowed(plan.size, self.preprocess):
                view = plan.shrunk_view
                image = self.dataset.window(
                    chosen.image, view.region(plan.size, plan.shrink), self.preprocess, plan.shrink
                )
                view = view.of_region()
            else:
                image = self.dataset.pixels(chosen.image, self.preprocess, plan.shrink)
                view = plan.view(image)
        except MaskRCNNError as error:
            pending.problems.append(unreadable(error, "unreadable-image"))
            return None
        return SampleInputs(image, chosen.instances, view, plan.change, limit)

    def _finish(self, pending: _PendingItem, sample: Sample, sources: Iterator[Sample]) -> StreamItem:
        sample, pasted = pending.main.plan.turned(sample), -1
        if pending.source is not None:
            sample = copy_paste(sample, pending.source.plan.turned(next(sources)), pending.rng)
            pasted = pending.source.image
        new = self._problems.add(pending.problems)
        return StreamItem(replace(sample, seed=pending.seed), pending.main.image, new, pasted)
