"""How fast a model is on this machine in each precision and input size, and what the speed costs.

All contenders work on the same decoded images, from pixels to a `Result` with compact masks. They take turns, so that a
machine that is busy for a while slows all of them alike, and the median of a contender's turns counts. The first one is
the exact form, fp32 at the model's own size: what it finds is what the others are held against. An exported model has
one precision, and is its own exact form.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import torch

from maskrcnn.benchmark.agreement import Agreement, agree
from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.device import PRECISIONS, has_fast_bf16, pick_precision
from maskrcnn.inference.predictor import Predictor
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.predict.image_predictor import ImagePredictor
from maskrcnn.results.result import Result
from maskrcnn.runtime import Artifact, Runtime
from maskrcnn.text import first_line

EXACT = "fp32"
SMALLER = (0.75, 0.5)  # input sizes tried beside the model's own, as shares of it
ENOUGH_TURNS = 3  # the median of fewer is no protection against a busy moment
FEWEST_IMAGES = 4  # measured even where the time does not suffice

Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Setting:
    """What a contender runs: a precision, an input size in pixels as of `Preprocess`, and images that go together."""

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
class Row:
    """What was measured of a setting: seconds an image, objects found, and how far they are those of the exact form."""

    setting: Setting
    seconds: float
    objects: int
    agreement: Agreement


@dataclass(frozen=True)
class Speeds:
    """One measurement; the first row is the exact form, fp32 at the model's own size.

    Attributes:
        rows: in the order of the settings.
        images: how many different ones were used.
        turns: how often each row was timed on each image.
        left_out: settings that could not run, and why.
    """

    rows: list[Row]
    images: int
    turns: int
    left_out: list[str]


def precisions_for(device: torch.device) -> tuple[list[str], list[str]]:
    """The precisions worth a measurement on this device, and why others are not."""
    suited = [EXACT, "bf16"] if has_fast_bf16(device) else [EXACT]
    unsuited = [] if "bf16" in suited else [f"bf16: this {device.type} device has no instructions for it"]
    if device.type == "cpu":
        return suited, ["fp16: CPUs have no fast arithmetic for it", *unsuited]
    return [*suited, "fp16"], unsuited


def chosen_precisions(names: Sequence[str], device: torch.device) -> list[str]:
    """The precisions of these names, "auto" among them, each once.

    Raises:
        MaskRCNNError: there is no such precision.
    """
    if unknown := [name for name in names if name not in (*PRECISIONS, "auto")]:
        raise MaskRCNNError(
            f"precision: expected all, auto, {', '.join(PRECISIONS)} or several of them, found {unknown[0]!r}",
            fix="write for example --precision fp32,bf16",
        )
    picked = {pick_precision(name, device) for name in names}
    return [name for name in PRECISIONS if name in picked]


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


def settings(
    own: Preprocess,
    precisions: Sequence[str],
    edges: Sequence[int] | None,
    batches: Sequence[int],
    exact_precision: str = EXACT,
) -> list[Setting]:
    """Every precision with every size and batch size; the exact form comes first, asked for or not."""
    combinations = [
        Setting(precision, short, long, batch, (short, long) == (own.short, own.long))
        for (short, long), precision, batch in itertools.product(input_sizes(own, edges), precisions, batches)
    ]
    exact = Setting(exact_precision, own.short, own.long, min(batches))
    return [exact, *(setting for setting in combinations if setting != exact)]


def measure(
    model: MaskRCNN | Artifact,
    images: Sequence[np.ndarray],
    contenders: Sequence[Setting],
    device: torch.device,
    score: float = 0.5,
    seconds: float = 20.0,
    tell: Tell = lambda what, share: None,
) -> Speeds:
    """Time the settings on decoded images.

    Args:
        model: a network on the CPU, of which each precision gets a copy, or an exported one.
        images: [H, W, C] each, such as the model takes.
        contenders: as of `settings`; the first is the exact form.
        score: objects below it do not count.
        seconds: for all of it, roughly. On a slow machine fewer images are used, but each setting is timed at least
            once on `FEWEST_IMAGES`.
        tell: is told what is being done, and the share of the time that is over.

    Raises:
        MaskRCNNError: the exact form cannot run.
    """
    clock = _Clock(seconds, tell)
    # Predictors hold copies of the weights. Those of CUDA also record, a few input shapes each.
    predictors: dict[object, ImagePredictor] = {}
    racers = []
    for setting in contenders:
        key = setting if device.type == "cuda" else setting.precision
        if key not in predictors:
            predictors[key] = _predictor(model, device, setting.precision)
        racers.append(_Racer(setting, predictors[key]))
    together = max(setting.batch for setting in contenders) * (4 if device.type == "cuda" else 1)
    # A batch that is not full would be timed as one that is: the first images fill it.
    order = list(itertools.islice(itertools.cycle(range(len(images))), -(-len(images) // together) * together))
    groups = [order[first : first + together] for first in range(0, len(order), together)]

    left_out = []
    start = time.perf_counter()
    for racer in racers[:]:
        tell(f"warm up {racer.setting}", clock.share())
        try:
            # CUDA takes an input shape as it is the first time, and records it the second time.
            for group in (groups * 2)[: 2 * len(groups) if device.type == "cuda" else 1]:
                racer.run([images[place] for place in group], score)
        except RuntimeError as error:  # memory, or an operator that the device lacks
            reason = first_line(error)
            if racer is racers[0]:
                raise MaskRCNNError(
                    f"the model cannot run here in {racer.setting}: {reason}", fix="use another --device"
                ) from error
            left_out.append(f"{racer.setting}: {reason}")
            racers.remove(racer)
    if device.type != "cuda":
        warm = time.perf_counter()
        fit = int((clock.end - warm) / (warm - start) / ENOUGH_TURNS)
        groups = groups[: max(fit, -(-FEWEST_IMAGES // together))]
    turns = _race(racers, images, groups, score, clock)
    used = len({place for group in groups for place in group})
    return Speeds([racer.row() for racer in racers], used, turns, left_out)


@dataclass
class _Racer:
    setting: Setting
    predictor: ImagePredictor
    seconds: list[list[float]] = field(default_factory=list)  # an image, group by group, turn by turn
    objects: int = 0
    agreement: Agreement = field(default_factory=Agreement)

    def run(self, images: list[np.ndarray], score: float) -> list[Result]:
        size = None if self.setting.own else self.setting.short[0]
        return self.predictor.predict(images, score, self.setting.batch, size=size)

    def timed(self, group: int, images: list[np.ndarray], score: float) -> list[Result]:
        start = time.perf_counter()
        results = self.run(images, score)
        self.seconds[group].append((time.perf_counter() - start) / len(images))
        return results

    def judge(self, pairs: Mapping[int, list[Result]]) -> None:
        """Count what was found in further images, by image: the exact form's result and this one's."""
        for exact, own in pairs.values():
            self.objects += len(own)
            self.agreement += agree(exact, own)

    def row(self) -> Row:
        groups = [median(turns) for turns in self.seconds]
        return Row(self.setting, sum(groups) / len(groups), self.objects, self.agreement)


def _race(
    racers: list[_Racer], images: Sequence[np.ndarray], groups: list[list[int]], score: float, clock: _Clock
) -> int:
    """Time all racers on all groups of images until the time is over; how many turns each had on the last group."""
    seen: set[int] = set()
    for racer in racers:
        racer.seconds = [[] for _ in groups]
    turn = 0
    while True:
        for number, group in enumerate(groups):
            if turn and clock.share() >= 1:
                return len(racers[0].seconds[-1])
            # Who runs first may find the cache cold or the machine rested: that goes round.
            first = turn % len(racers)
            found = {}
            for racer in racers[first:] + racers[:first]:
                clock.tell(str(racer.setting), clock.share())
                found[racer.setting] = racer.timed(number, [images[place] for place in group], score)
            if not turn:
                for racer in racers:
                    pairs = zip(group, found[racers[0].setting], found[racer.setting], strict=True)
                    racer.judge({place: pair for place, *pair in pairs if place not in seen})
                seen.update(group)
        turn += 1


class _Clock:
    """A budget of seconds that begins now, and whom to tell of it."""

    def __init__(self, seconds: float, tell: Tell) -> None:
        self.seconds, self.tell = seconds, tell
        self.end = time.perf_counter() + seconds

    def share(self) -> float:
        return min(1 - (self.end - time.perf_counter()) / self.seconds, 1.0)


def _predictor(model: MaskRCNN | Artifact, device: torch.device, precision: str) -> ImagePredictor:
    return Runtime(model) if isinstance(model, Artifact) else Predictor(model, str(device), precision)
