"""Objects that are missed because of their size in the network's input: too small to see, or larger than any anchor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from maskrcnn.evaluation.error_types import mean_ap50
from maskrcnn.evaluation.facts import Facts
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.text import plural

# Pixels of the network's input: below it, the finest level shows little of an object; and the side to aim at.
SMALL_SIDE, GOOD_SIDE = 32.0, 40.0
# So many sides of the largest anchor are too large.
_TOO_LARGE = 1.5
# So much more often must objects of that size be missed than the others, and so many of them.
_TIMES, _LEAST = 1.5, 5
_STEP, _MOST_ENLARGED, _LARGEST = 32, 2.0, 2048


def misses_by_size(facts: Facts) -> Iterator[Recommendation]:
    """Advice on another input size, if objects of one size are missed far more often than the others."""
    largest = _TOO_LARGE * facts.config.anchor_sizes[-1]
    for chosen, factor, topic in (
        (facts.sides < SMALL_SIDE, lambda side: min(GOOD_SIDE / side, _MOST_ENLARGED), "small-objects"),
        (facts.sides > largest, lambda side: max(largest / 2 / side, 0.25), "large-objects"),
    ):
        lost = _lost(facts)
        judged = ~facts.analysis.matches.region
        of_size, others = lost[judged & chosen], lost[judged & ~chosen]
        if of_size.sum() < max(_LEAST, 0.2 * lost.sum()):
            continue
        rate, other_rate = of_size.mean(), others.mean() if len(others) else of_size.mean() / 2
        if rate < _TIMES * other_rate or (not len(others) and rate < 0.5):
            continue
        excused = lost & chosen
        size = _input_size(facts, factor(float(np.median(facts.sides[excused]))))
        if size is None or not facts.runs_with(PredictionOptions(size=size)):
            continue
        small = topic == "small-objects"
        side, inside = _median(np.sqrt(facts.tables.truths["area"][excused])), _median(facts.sides[excused])
        rest = f", of the other {plural(len(others), 'object')} {other_rate:.0%}" if len(others) else ""
        yield Recommendation(
            topic,
            f"{plural(int(of_size.sum()), 'object')} that are {'small' if small else 'very large'} in the network's "
            "input are not found.",
            f"They are about {side:.0f} px wide in the image and {inside:.0f} px in the network's input. Of "
            f"{plural(len(of_size), 'object')} {f'below {SMALL_SIDE:.0f}' if small else f'above {largest:.0f}'} px "
            f"{rate:.0%} are not found{rest}.",
            f"Measure at {'a larger' if small else 'a smaller'} input size; if that is better, give `predict` the same "
            f"`size`{', and train at it' if small else ''}.",
            facts.subject.evaluate(size=size),
            gain=mean_ap50(facts.tables, facts.analysis.matches, excused) - facts.analysis.errors.ap50,
            images=facts.images_with(facts.tables.truths["image"][excused]),
        )


def _lost(facts: Facts) -> np.ndarray:
    """bool [T]: objects that no detection of any score finds, or only with a poor overlap."""
    return ~facts.analysis.matches.found & ~facts.analysis.matches.region


def _input_size(facts: Facts, factor: float) -> int | None:
    """The shortest edge in pixels that shows objects larger by a factor; None if it is hardly another than now."""
    images = facts.tables.images
    now = _median(np.minimum(images["height"], images["width"]) * facts.scale)
    size = min(_STEP * round(now * factor / _STEP), _LARGEST)
    return None if abs(size / now - 1) < 0.15 else max(size, 2 * _STEP)


def _median(values: np.ndarray) -> float:
    return float(np.median(values))
