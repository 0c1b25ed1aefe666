"""What limits an evaluation as a whole: a model that was hardly trained, and classes that it does not know."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.text import plural, quoted

# `people` on photos of balloons reached a mask AP of 10 to 30 in 10 to 40 steps, and 44 in 80.
FEW_STEPS = 60
# From this AP on a model is useful, however few steps it was trained for.
_USEFUL_AP = 30.0


def steps_of(predictor: ImagePredictor) -> int | None:
    """Steps that the model was trained for, if its checkpoint records them."""
    report = getattr(predictor, "report", None)
    steps = report.provenance.get("steps") if report is not None else None
    return steps if type(steps) is int and steps >= 0 else None


def too_few_steps(steps: int | None, score: float) -> Iterator[Recommendation]:
    """Advice on a model that is of little use and was trained for too few steps.

    Args:
        steps: that it was trained for, if known.
        score: its AP in percent.
    """
    if steps is None or steps >= FEW_STEPS or score >= _USEFUL_AP:
        return
    yield Recommendation(
        "few-steps",
        f"The model was trained for {plural(steps, 'step')} only.",
        f"A model learns little in fewer than {FEW_STEPS} steps; several hundred are usual. The points below "
        "reflect that more than the data or the labels.",
        "Train longer: `maskrcnn train` with more `--minutes` or `--epochs`, or with cheaper steps "
        "(`--canvas`, `--batch-size`).",
    )


def unknown_classes(evaluation: Evaluation) -> Iterator[Recommendation]:
    """Advice on the labelled classes that the model does not know."""
    unknown = evaluation.unknown
    if not unknown:
        return
    labelled = sum(not math.isnan(values["box_AP"]) for values in evaluation.per_class.values())
    known = plural(labelled - len(unknown), "class")
    over_known = _average_precisions(evaluation.known_metrics)
    yield Recommendation(
        "unknown-classes",
        f"{plural(len(unknown), 'class')} of {labelled} that are labelled here "
        f"{'is' if len(unknown) == 1 else 'are'} not known to the model: {quoted(unknown)}.",
        f"Over the {known} that it knows: {over_known}. Over all, where each unknown class counts as 0: "
        f"{_average_precisions(evaluation.metrics)}.",
        f"Judge the model by the {known} that it knows ({over_known}), or train one on all classes. The points "
        "below are about the classes that it knows.",
    )


def _average_precisions(metrics: Mapping[str, float]) -> str:
    kinds = [kind for kind in ("mask", "box") if not math.isnan(metrics[f"{kind}_AP"])]
    return ", ".join(f"{kind} AP {metrics[f'{kind}_AP']:.1f}" for kind in kinds)
