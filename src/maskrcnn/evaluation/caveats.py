"""What limits an evaluation as a whole: a model that was hardly trained, and classes that it does not know."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence

from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.subject import Subject
from maskrcnn.evaluation.verb_call import VerbCall
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.text import plural, quoted

# `people` on photos of balloons reached a mask AP of 10 to 30 in 10 to 40 steps, and 44 in 80.
FEW_STEPS = 60
# From this AP on a model is useful, however few steps it was trained for and whatever its class is called.
_USEFUL_AP = 30.0
_ALIKE = 0.75


def steps_of(predictor: ImagePredictor) -> int | None:
    """Steps that the model was trained for, if its checkpoint records them."""
    report = getattr(predictor, "report", None)
    steps = report.provenance.get("steps") if report is not None else None
    return steps if type(steps) is int and steps >= 0 else None


def too_few_steps(steps: int | None, score: float, subject: Subject) -> Iterator[Recommendation]:
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
        f"A model learns little in fewer than {FEW_STEPS} steps; several hundred are usual. The figures reflect that "
        "more than the data or the labels.",
        "Train longer; if a step takes too long, with a smaller `canvas` or `batch_size`.",
        subject.train(minutes=60),
    )


def unknown_classes(evaluation: Evaluation, subject: Subject, model_names: Sequence[str]) -> Iterator[Recommendation]:
    """Advice on the labelled classes that the model does not know.

    Args:
        model_names: classes that the model knows.
    """
    unknown = evaluation.unknown
    if not unknown:
        return
    labelled = sum(not math.isnan(values["box_AP"]) for values in evaluation.per_class.values())
    known = plural(labelled - len(unknown), "class")
    over_known = _average_precisions(evaluation.known_metrics)
    extra = [name for name in model_names if name not in (evaluation.known or ())]
    renamed = {old: new for old in unknown if (new := similar_name(old, extra)) is not None}
    if renamed:
        pairs = ", ".join(f"'{old}' and '{new}'" for old, new in renamed.items())
        action = f"If these are the same, of the data and of the model: {pairs}, measure them as one."
        call: VerbCall | None = subject.renamed(renamed)
    else:
        action = f"Judge the model by the {known} that it knows ({over_known}), or train it on all classes."
        call = subject.train(minutes=60)
    yield Recommendation(
        "unknown-classes",
        f"{plural(len(unknown), 'class')} of {labelled} that are labelled here "
        f"{'is' if len(unknown) == 1 else 'are'} not known to the model: {quoted(unknown)}.",
        f"Over the {known} that it knows: {over_known}. Over all, where each unknown class counts as 0: "
        f"{_average_precisions(evaluation.metrics)}. Advice follows from the classes that it knows.",
        action,
        call,
    )


def other_class(
    model_names: Sequence[str], data_names: Sequence[str], score: float, subject: Subject
) -> Iterator[Recommendation]:
    """Advice on a model of one class that fails on data of one class with another name, taken for the same.

    Args:
        score: its AP in percent.
    """
    if len(model_names) != 1 or len(data_names) != 1 or score >= _USEFUL_AP:
        return
    (ours,), (theirs,) = model_names, data_names
    if similar_name(theirs, [ours]) is not None:
        return
    yield Recommendation(
        "other-class",
        f"The model finds '{ours}', the labels are of '{theirs}': it was probably made for something else.",
        "Both have one class, so the two are compared, whatever their names.",
        f"Train it on '{theirs}', or use a model that knows it.",
        subject.train(minutes=30),
        decisive=True,
    )


def similar_name(name: str, others: Sequence[str]) -> str | None:
    """The one of some names that probably means the same, as "balloon" does for "Balloons"; None if none does."""
    folded = {other.casefold().replace("_", " ").replace("-", " "): other for other in others}
    close = difflib.get_close_matches(name.casefold().replace("_", " ").replace("-", " "), folded, 1, _ALIKE)
    return folded[close[0]] if close else None


def _average_precisions(metrics: Mapping[str, float]) -> str:
    kinds = [kind for kind in ("mask", "box") if not math.isnan(metrics[f"{kind}_AP"])]
    return ", ".join(f"{kind} AP {metrics[f'{kind}_AP']:.1f}" for kind in kinds)
