"""What limits an evaluation as a whole: a model that was hardly trained, and classes that it does not know."""

from __future__ import annotations

import math

from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.predict.image_predictor import ImagePredictor
from maskrcnn.text import plural, quoted

# From `people` on photos of balloons, 10 to 40 steps gave a mask AP of 10 to 30, 80 gave 44.
FEW_STEPS = 60
# An AP from which a model is of use, however few steps it took from the model that it began with.
_OF_USE = 30.0


def steps_of(predictor: ImagePredictor) -> int | None:
    """Steps that the model was trained for, if its checkpoint tells."""
    report = getattr(predictor, "report", None)
    steps = report.provenance.get("steps") if report is not None else None
    return steps if type(steps) is int and steps >= 0 else None


def too_few_steps(steps: int | None, score: float) -> list[Recommendation]:
    """A finding on a model that is no good and had no time to become it.

    Args:
        steps: that it was trained for, if known.
        score: its AP in percent.
    """
    if steps is None or steps >= FEW_STEPS or score >= _OF_USE:
        return []
    return [
        Recommendation(
            "few-steps",
            f"The model was trained for {plural(steps, 'step')} only.",
            f"Little is learned in fewer than {FEW_STEPS}; several hundred are usual. What follows tells more about "
            "that than about data or labels.",
            "Train longer: `maskrcnn train` with more `--minutes` or `--epochs`, or with cheaper steps "
            "(`--canvas`, `--batch-size`).",
        )
    ]


def unknown_classes(evaluation: Evaluation) -> list[Recommendation]:
    """A finding on the labelled classes that the model does not know."""
    unknown = evaluation.unknown
    if not unknown:
        return []
    labelled = sum(not math.isnan(values["box_AP"]) for values in evaluation.per_class.values())
    known, metrics = evaluation.known_metrics, evaluation.metrics
    kinds = [kind for kind in ("mask", "box") if not math.isnan(metrics[f"{kind}_AP"])]
    over_known = ", ".join(f"{kind} AP {known[f'{kind}_AP']:.1f}" for kind in kinds)
    over_all = ", ".join(f"{kind} AP {metrics[f'{kind}_AP']:.1f}" for kind in kinds)
    return [
        Recommendation(
            "unknown-classes",
            f"{plural(len(unknown), 'class')} of {labelled} that are labelled here "
            f"{'is' if len(unknown) == 1 else 'are'} not known to the model: {quoted(unknown)}.",
            f"Over the {plural(labelled - len(unknown), 'class')} that it knows: {over_known}. Over all, where each "
            f"unknown one counts 0: {over_all}.",
            f"Judge the model by the {plural(labelled - len(unknown), 'class')} that it knows ({over_known}), or train "
            "one on all of them; the findings below are about those that it knows.",
        )
    ]
