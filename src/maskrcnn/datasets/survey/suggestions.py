"""Settings that follow from the data: input size, anchors, limit of detections, training canvas.

Each suggestion carries the numbers it was computed from. Lengths are pixels of the network input unless said otherwise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from maskrcnn.config import Config, Preprocess
from maskrcnn.datasets.survey.survey import FINEST_STRIDE, Survey, network_scale
from maskrcnn.model.anchors import Anchors
from maskrcnn.model.detections import CANDIDATES
from maskrcnn.ops.boxes import iou

LEAST_SIZE = 3.0 * FINEST_STRIDE  # three cells of the finest feature map
MOST_OBJECTS = 0.95  # the share of objects that has to reach it
SHORT_EDGES = range(320, 1345, 64)
LARGEST_ZOOM = 3.0  # enlarging a blurred image further adds cost and no detail
SPARE = 1.2  # room for images with more objects than any seen
LONGEST_ASPECT = 3.0  # longer images are shrunk further
WORTH_SHRINKING = 0.6  # share of the pixels below which a smaller input is mentioned
ANCHOR_BASES = (8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64)
SHAPES_AT = (0.1, 0.5, 0.9)  # quantiles of height / width
LEAST_STEP = 1.25  # between anchor ratios: closer ones do the same work twice
MOST_COMPARED = 200_000  # of more objects, every n-th is compared with anchors
WORTH_IT = 0.02  # gain in mean IoU below which the present anchors are kept
LARGEST_CANVAS = 1024


class Suggestion(NamedTuple):
    """One setting: its present value, the suggested one (the same where it fits), and the evidence for it."""

    setting: str
    present: Any
    suggested: Any
    evidence: str

    @property
    def differs(self) -> bool:
        """Whether it should be changed."""
        return bool(self.present != self.suggested)


class AnchorFit(NamedTuple):
    """The share of objects whose best anchor has an IoU of at least 0.5, and the mean of the best IoU."""

    share: float
    mean: float


def suggest_settings(survey: Survey, config: Config, canvas: int) -> list[Suggestion]:
    """A suggestion for each setting that depends on the data; none for data without objects.

    Args:
        config: the model as it is now.
        canvas: the training canvas as it is now.
    """
    if not len(survey.label):
        return []
    preprocess = _input_size(survey, config.preprocess)
    resized = config.replace(preprocess=preprocess.suggested)
    return [
        *detection_limits(survey.objects_an_image, config),
        preprocess,
        *_anchors(survey, config, resized),
        _canvas(survey, resized.preprocess, canvas),
    ]


def model_changes(suggestions: Sequence[Suggestion]) -> dict[str, Any]:
    """The suggested changes of the model's settings, as `Config.replace` and a recipe's `model` take them."""
    return {item.setting: item.suggested for item in suggestions if item.differs and item.setting != "canvas"}


def detection_limits(counts: np.ndarray, config: Config) -> list[Suggestion]:
    """max_detections, and the numbers of proposals that it needs where they are too few.

    Args:
        counts: int [N], objects of each image; at least one image.
    """
    most, usual = int(counts.max()), math.ceil(np.quantile(counts, 0.95))
    wanted = _multiple(most * SPARE, 10)
    suggested = max(config.max_detections, min(wanted, CANDIDATES))
    evidence = f"at most {most:,} objects an image, in 95 % of the images at most {usual:,}"
    if most > config.max_detections:
        over = float((counts > config.max_detections).mean())
        evidence += f"; {config.max_detections} are too few for {_percent(over)} of the images"
    elif suggested > config.max_detections:
        evidence += f"; {config.max_detections} leave little room for denser ones"
    if wanted > CANDIDATES:
        evidence += f"; the model returns at most {CANDIDATES:,}: cut such images into tiles"
    found = [Suggestion("max_detections", config.max_detections, suggested, evidence)]
    for setting in ("proposals", "rpn_before_nms"):
        present = list(getattr(config, setting))
        enough = [max(value, _multiple(2 * suggested, 100)) for value in present]
        if enough != present:
            found.append(Suggestion(setting, present, enough, f"twice the {suggested:,} detections"))
    return found


def anchor_fit(sides: np.ndarray, config: Config, offset: float = 0.0) -> AnchorFit:
    """How well the anchors of a model fit boxes of `sides` float [M, 2] = (width, height).

    Args:
        offset: of the anchors' centres from the boxes', along both axes, in strides of the anchors' level.
    """
    half = torch.from_numpy(sides / 2).float()
    boxes, anchors = torch.cat((-half, half), dim=1), Anchors(config)
    best = torch.zeros(len(boxes))
    for shapes, stride in zip(anchors.shapes, anchors.strides, strict=True):
        best = torch.maximum(best, iou(shapes.float() + offset * stride, boxes).amax(dim=0))
    return AnchorFit(float((best >= 0.5).float().mean()), float(best.mean()))


def _input_size(survey: Survey, present: Preprocess) -> Suggestion:
    """The smallest input at which most objects cover three cells of the finest map."""
    edges = survey.image_sizes[survey.read]
    shortest, aspect = edges.min(axis=1), edges.max(axis=1) / edges.min(axis=1)
    stretch = min(max(present.long / present.short[1], float(np.quantile(aspect, 0.95))), LONGEST_ASPECT)
    limit = max(LARGEST_ZOOM * float(np.median(shortest)), SHORT_EDGES[0])
    options = [
        dataclasses.replace(present, short=(edge, edge), long=_multiple(edge * stretch, 32))
        for edge in SHORT_EDGES
        if edge <= limit
    ]
    enough = [option for option in options if _large(survey, option) >= MOST_OBJECTS]
    chosen = enough[0] if enough else options[-1]
    share, cost = _large(survey, present), _pixels(survey, chosen) / _pixels(survey, present)
    evidence = f"{_percent(share)} of the objects measure at least {LEAST_SIZE:g} px at {_named(present)}"
    if share >= MOST_OBJECTS:
        if cost < WORTH_SHRINKING:
            evidence += f"; {_named(chosen)} would do, with {_percent(cost)} of the pixels, where speed matters"
        return Suggestion("preprocess", _sizes(present), _sizes(present), evidence)
    reached = _large(survey, chosen)
    if reached > share:
        evidence += f", {_percent(reached)} at {_named(chosen)}, with {cost:.1f} times the pixels"
    if not enough:
        evidence += "; the others are too small in the images themselves: cut these into tiles"
    return Suggestion("preprocess", _sizes(present), _sizes(chosen if reached > share else present), evidence)


def _anchors(survey: Survey, present: Config, resized: Config) -> list[Suggestion]:
    """Sizes that double from level to level, and three shapes; kept where they fit about as well as the best.

    Anchors stand on a grid: they are compared a quarter of a stride off the object's centre, where they are on average.
    """
    scale = network_scale(survey.image_sizes, resized.preprocess)
    sides = survey.sides * scale[survey.image][:, None]
    sides = sides[:: -(-len(sides) // MOST_COMPARED)]

    def fit(config: Config) -> float:
        return anchor_fit(sides, config, offset=0.25).mean

    levels = range(len(present.anchor_sizes))
    options = [resized.replace(anchor_sizes=[base * 2**level for level in levels]) for base in ANCHOR_BASES]
    chosen = max([resized, *options], key=fit)
    flat, usual, tall = np.quantile(survey.ratio, SHAPES_AT).tolist()
    spread = min(flat, usual / LEAST_STEP), usual, max(tall, usual * LEAST_STEP)
    reshaped = chosen.replace(anchor_ratios=[round(ratio, 2) for ratio in spread])
    if fit(reshaped) - fit(chosen) >= WORTH_IT:
        chosen = reshaped
    if fit(chosen) - fit(resized) < WORTH_IT:
        chosen = resized
    before, after = anchor_fit(sides, resized), anchor_fit(sides, chosen)
    low, middle, high = np.quantile(np.sqrt(sides.prod(axis=1)), (0.05, 0.5, 0.95))
    evidence = f"the best anchor has IoU >= 0.5 with {_percent(before.share)} of the objects"
    if chosen is not resized:
        evidence += f", the best suggested one with {_percent(after.share)}"
        evidence += f"; mean IoU {fit(resized):.2f} and {fit(chosen):.2f} a quarter of a stride off"
    sizes = f"objects of {low:.0f}, {middle:.0f}, {high:.0f} px (5, 50, 95 %); {evidence}"
    ratios = f"height / width {flat:.2f}, {usual:.2f}, {tall:.2f} (10, 50, 90 %)"
    return [
        Suggestion("anchor_sizes", _numbers(present.anchor_sizes), _numbers(chosen.anchor_sizes), sizes),
        Suggestion("anchor_ratios", _numbers(present.anchor_ratios), _numbers(chosen.anchor_ratios), ratios),
    ]


def _canvas(survey: Survey, preprocess: Preprocess, present: int) -> Suggestion:
    """A square that holds most objects whole, no larger than the images."""
    scale = network_scale(survey.image_sizes, preprocess)
    longest = float(np.quantile(survey.sides.max(axis=1) * scale[survey.image], 0.95))
    image = float(np.quantile((survey.image_sizes.max(axis=1) * scale)[survey.read], 0.95))
    suggested = min(_multiple(max(longest, min(present, image)), 32), LARGEST_CANVAS)
    evidence = f"95 % of the objects are at most {longest:.0f} px long, 95 % of the images {image:.0f} px"
    return Suggestion("canvas", present, suggested, evidence)


def _large(survey: Survey, preprocess: Preprocess) -> float:
    """Share of objects that are large enough at this input size."""
    scale = network_scale(survey.image_sizes, preprocess)
    return float((survey.size * scale[survey.image] >= LEAST_SIZE).mean())


def _pixels(survey: Survey, preprocess: Preprocess) -> float:
    """Mean number of pixels of an image in the network input."""
    scale = network_scale(survey.image_sizes, preprocess)
    return float((survey.image_sizes.prod(axis=1) * scale**2)[survey.read].mean())


def _sizes(preprocess: Preprocess) -> dict[str, Any]:
    return {"short": list(preprocess.short), "long": preprocess.long}


def _named(preprocess: Preprocess) -> str:
    low, high = preprocess.short
    return f"short edge {low}" if low == high else f"short edge {low} to {high}"


def _numbers(values: Sequence[float]) -> list[float]:
    return [int(value) if float(value).is_integer() else float(value) for value in values]


def _multiple(value: float, step: int) -> int:
    return math.ceil(value / step) * step


def _percent(share: float) -> str:
    """A share in per cent, with a decimal where it would round to all or nothing."""
    value = 100 * share
    return f"{value:.0f} %" if value in (0, 100) or 1 <= value <= 99 else f"{value:.1f} %"
