"""How fast a model is on this machine in each precision and input size, and what the speed costs.

All variants run on the same decoded images, from pixels to a `Result` with compact masks. They take turns, so that
other load on the machine slows all of them alike, and the median of a variant's turns is reported. The first variant is
the exact form, fp32 at the model's own size; the objects of the others are compared with its objects. An exported model
has one precision and is its own exact form.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import torch

from maskrcnn.benchmarking.agreement import Agreement, agree
from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.predictor import Predictor
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.results.result import Result
from maskrcnn.runtime import Artifact, Runtime
from maskrcnn.text import first_line

EXACT = "fp32"  # the precision of the exact form
SMALLER = (0.75, 0.5)  # input sizes tried beside the model's own, as shares of it
ENOUGH_TURNS = 3  # the median of fewer does not remove outliers
FEWEST_IMAGES = 4  # measured even if it takes longer than the given time

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Variant:
    """One way to run a model: its precision, input size in pixels as of `Preprocess`, and batch size."""

    precision: str
    short: tuple[int, int]
    long: int
    batch: int = 1
    own: bool = True  # the size is the model's own

    @property
    def size(self) -> str:
        """The shortest edge, or the range of it, as text."""
        low, high = self.short
        return f"{low}" if low == high else f"{low}-{high}"

    def __str__(self) -> str:
        return f"{self.precision} at {self.size}" + (f", {self.batch} together" if self.batch > 1 else "")


@dataclass(frozen=True)
class VariantSpeed:
    """What was measured of a variant: seconds an image, objects found, and their agreement with the exact form's."""

    variant: Variant
    seconds: float
    objects: int
    agreement: Agreement

    @property
    def percent(self) -> str:
        """The share of the exact form's objects that are found, rounded down: 100 % is all of them."""
        share = self.agreement.share
        return "-" if share is None else f"{math.floor(share * 100 + 1e-9)} %"

    def times(self, seconds: float) -> str:
        """How many times as fast as ``seconds`` an image it is."""
        return f"{seconds / self.seconds:.1f}x"


@dataclass(frozen=True)
class SpeedComparison:
    """One measurement; the first row is the exact form, fp32 at the model's own size.

    Attributes:
        rows: in the order of the variants.
        images: how many different ones were used.
        turns: how often each row was timed on each image.
        left_out: variants that could not run, and why.
    """

    rows: list[VariantSpeed]
    images: int
    turns: int
    left_out: list[str]


def input_sizes(own: Preprocess, edges: Sequence[int] | None = None) -> list[tuple[tuple[int, int], int]]:
    """(``short``, ``long``) of the model's own input size, and of others with one shortest edge, the largest first.

    Where the model's own is a range of shortest edges, others are one edge all the same: an image that lies within a
    smaller range would not become smaller.

    Args:
        own: how the model takes images.
        edges: shortest edges in pixels; three quarters and half of the model's own unless given.

    Raises:
        MaskRCNNError: an edge is too short or too long.
    """
    if edges is None:
        edges = [max(round(own.short[0] * share / own.divisor), 1) * own.divisor for share in SMALLER]
    sizes = [(size.short, size.long) for size in (own, *map(own.at, sorted({*edges}, reverse=True)))]
    return list(dict.fromkeys(sizes))


def make_variants(
    own: Preprocess,
    precisions: Sequence[str],
    edges: Sequence[int] | None,
    batches: Sequence[int],
    exact_precision: str = EXACT,
) -> list[Variant]:
    """Every precision with every size and batch size; the exact form comes first and is always included."""
    combinations = [
        Variant(precision, short, long, batch, (short, long) == (own.short, own.long))
        for (short, long), precision, batch in itertools.product(input_sizes(own, edges), precisions, batches)
    ]
    exact = Variant(exact_precision, own.short, own.long, min(batches))
    return [exact, *(variant for variant in combinations if variant != exact)]


def measure_speeds(
    model: MaskRCNN | Artifact,
    images: Sequence[np.ndarray],
    variants: Sequence[Variant],
    device: torch.device,
    score: float = 0.5,
    seconds: float = 20.0,
    progress: Progress = lambda what, share: None,
) -> SpeedComparison:
    """Time the variants on decoded images.

    Args:
        model: a network on the CPU, of which each precision gets a copy, or an exported one.
        images: [H, W, C] each, with the model's channels and depth.
        variants: as of `make_variants`; the first is the exact form.
        score: objects below it do not count.
        seconds: for all of it, roughly. On a slow machine fewer images are used, but each variant is timed at least
            once on `FEWEST_IMAGES`.
        progress: called with what is being done, and the share of the time that is used.

    Raises:
        MaskRCNNError: the exact form cannot run.
    """
    start = time.perf_counter()

    def share_used() -> float:
        return min((time.perf_counter() - start) / seconds, 1.0)

    on_cuda = device.type == "cuda"
    # Predictors hold copies of the weights; on CUDA also graphs, of a few input shapes each.
    predictors: dict[object, ImagePredictor] = {}
    timed = []
    for variant in variants:
        key = variant if on_cuda else variant.precision
        if key not in predictors:
            predictors[key] = (
                Runtime(model) if isinstance(model, Artifact) else Predictor(model, str(device), variant.precision)
            )
        timed.append(_TimedVariant(variant, predictors[key], score))
    group_size = max(variant.batch for variant in variants) * (4 if on_cuda else 1)
    # The last group is filled with the first images: a smaller batch is not comparable.
    order = [place % len(images) for place in range(-(-len(images) // group_size) * group_size)]
    groups = [order[first : first + group_size] for first in range(0, len(order), group_size)]

    left_out = []
    warming = time.perf_counter()
    for one in timed[:]:
        progress(f"warm up {one.variant}", share_used())
        try:
            # On CUDA an input shape is recorded as a graph when it comes the second time.
            for group in groups * 2 if on_cuda else groups[:1]:
                one.predict([images[index] for index in group])
        except RuntimeError as error:  # memory, or an operator that the device lacks
            reason = f"{one.variant}: {first_line(error)}"
            if one is timed[0]:
                raise MaskRCNNError(f"the model cannot run here in {reason}", fix="use another device") from error
            left_out.append(reason)
            timed.remove(one)
    if not on_cuda:
        warm = time.perf_counter()
        fit = int((start + seconds - warm) / (warm - warming) / ENOUGH_TURNS)
        groups = groups[: max(fit, -(-FEWEST_IMAGES // group_size))]
    turns = _take_turns(timed, images, groups, share_used, progress)
    used = len({index for group in groups for index in group})
    return SpeedComparison([one.measured() for one in timed], used, turns, left_out)


@dataclass
class _TimedVariant:
    variant: Variant
    predictor: ImagePredictor
    score: float
    seconds: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))  # an image: group → turns
    objects: int = 0
    agreement: Agreement = field(default_factory=Agreement)

    def predict(self, images: list[np.ndarray]) -> list[Result]:
        size = None if self.variant.own else self.variant.short[0]
        return self.predictor.predict(images, self.score, self.variant.batch, size=size)

    def time(self, group: int, images: list[np.ndarray]) -> list[Result]:
        start = time.perf_counter()
        results = self.predict(images)
        self.seconds[group].append((time.perf_counter() - start) / len(images))
        return results

    def compare(self, exact: Result, own: Result) -> None:
        """Count the objects of one image: the exact form's and this one's."""
        self.objects += len(own)
        self.agreement += agree(exact, own)

    def measured(self) -> VariantSpeed:
        groups = [median(turns) for turns in self.seconds.values()]
        return VariantSpeed(self.variant, sum(groups) / len(groups), self.objects, self.agreement)


def _take_turns(
    timed: list[_TimedVariant],
    images: Sequence[np.ndarray],
    groups: list[list[int]],
    share_used: Callable[[], float],
    progress: Progress,
) -> int:
    """Time all variants on all groups of images until the time is over; the number of turns on the last group."""
    seen: set[int] = set()
    turn = 0
    while True:
        for number, group in enumerate(groups):
            if turn and share_used() >= 1:
                return len(timed[0].seconds[len(groups) - 1])
            # The first to run may find the cache cold or the machine rested: each turn begins with another one.
            first = turn % len(timed)
            found = {}
            for one in timed[first:] + timed[:first]:
                progress(str(one.variant), share_used())
                found[one.variant] = one.time(number, [images[index] for index in group])
            if not turn:
                exact = found[timed[0].variant]
                for place in {index: place for place, index in enumerate(group) if index not in seen}.values():
                    for one in timed:
                        one.compare(exact[place], found[one.variant][place])
                seen.update(group)
        turn += 1
