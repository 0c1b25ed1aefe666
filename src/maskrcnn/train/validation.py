"""Evaluations during a run: when they are due, what they find, and whether it still gets better."""

from __future__ import annotations

from maskrcnn.data.dataset import Dataset
from maskrcnn.data.problem import Problem
from maskrcnn.evaluate.evaluator import Evaluation, evaluate
from maskrcnn.predict.predictor import Predictor
from maskrcnn.train.interrupt import Interrupt
from maskrcnn.train.log import Log
from maskrcnn.train.recipe import Recipe
from maskrcnn.train.state import RunState


class _SignalError(Exception):
    """Ctrl-C came while measuring."""


class Validation:
    """The val split and the judgement on it, by mask AP.

    Attributes:
        last: the latest evaluation made by this process.
    """

    def __init__(self, dataset: Dataset | None, recipe: Recipe, state: RunState, log: Log, stop: Interrupt) -> None:
        self.dataset, self.recipe, self.state, self.log, self.stop = dataset, recipe, state, log, stop
        self.last: Evaluation | None = None

    def due(self, progress: float) -> bool:
        """Whether another evaluation should have been made by now; they spread evenly, the last comes at the end."""
        return self.dataset is not None and self._number(progress) > self.state.evaluations

    def measure(self, predictor: Predictor) -> dict[str, float] | None:
        """Metrics in percent; None if a signal came meanwhile."""
        assert self.dataset is not None
        done, total = 0, len(self.dataset)

        def advance() -> None:
            nonlocal done
            done += 1
            self.log.display.evaluating(done, total)
            if self.stop.wanted:
                raise _SignalError

        try:
            self.last = evaluate(predictor, self.dataset, advance=advance)
        except _SignalError:
            return None
        self.log.tell(Problem("unreadable-image", "val", line, images_lost=1) for line in self.last.problems)
        self.log.tell(self.last.notes)
        return self.last.metrics

    def judge(self, metrics: dict[str, float], progress: float) -> tuple[bool, str]:
        """Whether this is the best so far, and why the run should end, if it should."""
        state, recipe, score = self.state, self.recipe, metrics["mask_AP"]
        state.evaluations = self._number(progress)
        better = not state.best or not score <= state.best["mask_AP"]
        state.stale = 0 if better else state.stale + 1
        if better:
            state.best = {**metrics, "step": state.steps}
        self.log.keep(f"step {state.steps}: mask AP {score:.2f}, box AP {metrics['box_AP']:.2f}{', best' * better}")
        if self.last is not None:
            self.log.display.evaluated(self.last, better)
        if recipe.target_ap is not None and score > recipe.target_ap:
            return better, f"mask AP {score:.1f} is above {recipe.target_ap:g}"
        if recipe.patience and state.stale >= recipe.patience:
            return better, f"no better mask AP in {state.stale} evaluations"
        return better, ""

    def _number(self, progress: float) -> int:
        return int(progress * self.recipe.evaluations + 1e-9)
