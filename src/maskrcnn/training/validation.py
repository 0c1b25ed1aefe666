"""Evaluations during a run: when they are due, what they measure, and whether the model still improves."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.evaluator import Measured, measure
from maskrcnn.evaluation.label_mapping import label_mapping
from maskrcnn.evaluation.subject import Subject
from maskrcnn.inference.predictor import Predictor
from maskrcnn.text import plural
from maskrcnn.training.class_examples import has_none_of
from maskrcnn.training.distributed import Processes
from maskrcnn.training.interrupt import Interrupt
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.run_log import RunLog
from maskrcnn.training.state import RunState

# The share of a run's minutes that an evaluation before the last may take; its duration is estimated after a fifth.
SHARE, LOOK_SHARE = 0.1, 0.2
NO_BEST = "there will be no `best` checkpoint, only `last`"
NOTHING = f"the val split has no object of a class that is trained: nothing can be measured, {NO_BEST}"


class _EvaluationEndedError(Exception):
    """The evaluation was interrupted, or takes too much of the run's time."""


class Validation:
    """Evaluates on the val split and compares by mask AP; by box AP where the split has no masks.

    Attributes:
        dataset: the val split; None if nothing can be measured on it.
    """

    def __init__(self, dataset: Dataset | None, recipe: Recipe, state: RunState, log: RunLog, stop: Interrupt) -> None:
        self.dataset, self.recipe, self.state, self.log, self.stop = dataset, recipe, state, log, stop
        self._measured: Measured | None = None

    @property
    def last(self) -> Evaluation | None:
        """The latest evaluation made by this process."""
        return None if self._measured is None else self._measured.evaluation

    def due(self, progress: float) -> bool:
        """Whether it is time for an evaluation; they are evenly spaced, the last one at the end."""
        return self.dataset is not None and self._number(progress) > self.state.evaluations

    def measure(self, predictor: Predictor, progress: float) -> dict[str, float] | None:
        """Metrics in percent, over the classes that are trained.

        Returns:
            Empty if an evaluation before the last would take too long; None after a signal.
        """
        assert self.dataset is not None
        done, total, started = 0, len(self.dataset), time.monotonic()
        budget = 60 * SHARE * self.recipe.minutes if self.recipe.minutes and progress < 1 else math.inf

        def advance() -> None:
            nonlocal done
            done += 1
            self.log.display.evaluating(done, total)
            spent = time.monotonic() - started
            if self.stop.wanted or (spent > LOOK_SHARE * budget and spent / done * total > budget):
                raise _EvaluationEndedError

        try:
            last = self._may_be_last(progress)
            self._measured = measure(predictor, self.dataset, advance=advance, analyse=last)
        except _EvaluationEndedError:
            if self.stop.wanted:
                return None
            what = (
                f"evaluations that would take more than {SHARE:.0%} of its time are left out, all but the last: the "
                f"val split has {plural(total, 'image')}, fewer take less"
            )
            self.log.report([Problem("slow-evaluation", "", what, severity="note")])
            return {}
        found = self._measured.evaluation
        self.log.report([*found.data_problems, *found.problems, *found.notes])
        return found.known_metrics

    def judge(self, metrics: dict[str, float], progress: float) -> tuple[bool, str]:
        """Whether this is the best evaluation so far, and why the run should end, if it should.

        An AP that is NaN ends evaluations: the split has no usable object. An evaluation without metrics, which was
        left out, is only counted.
        """
        state, recipe = self.state, self.recipe
        state.evaluations = self._number(progress)
        if not metrics:
            return False, ""
        score = _score(metrics)
        if math.isnan(score):
            self.dataset = None
            self.log.note(NOTHING)
            return False, ""
        better = not state.best or not score <= _score(state.best)
        state.stale = 0 if better else state.stale + 1
        if better:
            state.best = {**metrics, "step": state.steps}
        mask, box = metrics["mask_AP"], metrics["box_AP"]
        self.log.keep(f"step {state.steps}: mask AP {mask:.2f}, box AP {box:.2f}{', best' * better}")
        if self.last is not None:
            self.log.display.evaluated(self.last, better)
        name, ended = "box AP" if math.isnan(mask) else "mask AP", ""
        if recipe.target_ap is not None and score > recipe.target_ap:
            ended = f"{name} {score:.1f} is above {recipe.target_ap:g}"
        elif recipe.patience and state.stale >= recipe.patience:
            ended = f"no better {name} in {plural(state.stale, 'evaluation')}"
        return better, ended

    def explain(self, subject: Subject, train: Dataset) -> None:
        """Analyse the run's last evaluation, if this process made it: its `next_steps` say what to do."""
        if self._measured is not None and self._measured.analysable:
            self._measured.explain(subject, train, self.state.steps)
            self.log.report(self._measured.evaluation.notes)

    def _may_be_last(self, progress: float) -> bool:
        """Whether the run may end with an evaluation now."""
        recipe = self.recipe
        impatient = recipe.patience and self.state.stale + 1 >= recipe.patience
        return progress >= 1 or bool(impatient) or recipe.target_ap is not None

    def _number(self, progress: float) -> int:
        return int(progress * self.recipe.evaluations + 1e-9)


def measurable(
    val_data: Dataset | None, trained: Mapping[str, str], processes: Processes
) -> tuple[Dataset | None, str]:
    """The val split with its classes renamed as in training; or None, and why nothing can be measured.

    Args:
        trained: the names of the classes in training, by their names in the data.

    Raises:
        MaskRCNNError: the split has none of the classes.
    """
    if val_data is None:
        return None, f"no val split: nothing is measured, {NO_BEST}"
    names = [trained.get(name, name) for name in val_data.names]
    labels = [label for label in label_mapping(list(trained.values()), names).tolist() if label >= 0]
    if processes.broadcast(processes.main and has_none_of(val_data, labels)):
        return None, NOTHING
    return Dataset(val_data.labels._replace(names=names)), ""


def _score(metrics: Mapping[str, float]) -> float:
    """The mask AP, or the box AP if there are no masks."""
    mask = metrics["mask_AP"]
    return metrics["box_AP"] if math.isnan(mask) else mask
