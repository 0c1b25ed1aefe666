"""The measured time of a step, the number of steps of a run, and whether they are enough to learn from."""

from __future__ import annotations

import math
import os

import torch

from maskrcnn.evaluation.caveats import FEW_STEPS
from maskrcnn.training.recipe import USUAL_STEPS, Recipe
from maskrcnn.training.state import RunState

WARMUP_SHARE = 0.1


class StepTimer:
    """The time of a step, and the steps and the time that are left.

    Args:
        state: of the run, updated by the trainer; its untimed steps and seconds are left out.
        total_steps: of a run without ``minutes``.
    """

    def __init__(self, recipe: Recipe, state: RunState, total_steps: int) -> None:
        self.recipe, self.state, self.total_steps = recipe, state, total_steps

    @property
    def step_s(self) -> float | None:
        """Seconds a step, evaluations included; None until one was timed."""
        steps = self.state.steps - self.state.untimed_steps
        return max(self.state.seconds - self.state.untimed_s, 1e-9) / steps if steps > 0 else None

    @property
    def steps(self) -> float | None:
        """Steps of the whole run; None with ``minutes`` before a step was timed."""
        if not self.recipe.minutes:
            return self.total_steps
        return None if self.step_s is None else self.state.steps + self.remaining_s / self.step_s

    @property
    def remaining_s(self) -> float:
        """Seconds to the end of the schedule."""
        if self.recipe.minutes:
            return max(60 * self.recipe.minutes - self.state.seconds, 0.0)
        step_s = self.step_s or self.state.seconds / max(self.state.steps, 1)
        return max(self.total_steps - self.state.steps, 0) * step_s

    @property
    def warmup_steps(self) -> float:
        """Steps of warm-up: those of the recipe, and at most a tenth of the run."""
        return min(self.recipe.warmup_steps, WARMUP_SHARE * (self.steps or math.inf))

    def warnings(self) -> list[str]:
        """A line, if it is known that the run ends before anything can be learned."""
        if self.steps is None or round(self.steps) >= FEW_STEPS:
            return []
        return [f"too short: a run of fewer than {FEW_STEPS} steps learns little; {self.advice()}"]

    def line(self) -> str:
        """The time of a step, and how many fit or how long the others take; only after a timed step."""
        assert self.step_s is not None
        step = f"a step takes about {duration_text(self.step_s)}"
        if self.recipe.minutes:
            return f"{step}: about {self.steps:.0f} fit into {duration_text(60 * self.recipe.minutes)}"
        left = self.total_steps - self.state.steps
        return f"{step}: about {duration_text(self.remaining_s)} for the {left} that are left"

    def advice(self) -> str:
        """How to get more steps in a run that is too short."""
        recipe = self.recipe
        if not recipe.minutes:
            epochs = USUAL_STEPS / self.total_steps * (recipe.epochs or 1.0)
            return f"{USUAL_STEPS} steps are {_rounded_up(epochs)} epochs"
        ways = [] if self.step_s is None else [f"minutes {_rounded_up(USUAL_STEPS * self.step_s / 60)}"]
        if isinstance(recipe.canvas, int) and recipe.canvas > 256:
            ways.append("canvas 256")
        if isinstance(recipe.batch_size, int) and recipe.batch_size > 2:
            ways.append("batch_size 2")
        if _cores_are_busy():
            ways.append("OMP_NUM_THREADS=1 in its environment, as others use these cores")
        return f"give it more time, or cheaper steps{': ' * bool(ways)}{', '.join(ways)}"


def duration_text(seconds: float) -> str:
    """A length of time in words: "0.35 s", "48 s", "8 minutes", "2.5 hours"."""
    value, unit = seconds, "s"
    if seconds >= 99.5 * 60:
        value, unit = seconds / 3600, "hours"
    elif seconds >= 99.5:
        value, unit = seconds / 60, "minutes"
    return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.2g} {unit}"


def _cores_are_busy() -> bool:
    """Whether other processes use the cores so much that several threads are slower than one."""
    try:  # with a load of 10 on two cores, a step took 34 s with one thread and 81 s with two
        return torch.get_num_threads() > 1 and os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
    except (AttributeError, OSError):  # unknown on this system
        return False


def _rounded_up(value: float) -> int:
    """A number rounded up to two digits."""
    unit = 10 ** max(math.floor(math.log10(max(value, 1))) - 1, 0)
    return math.ceil(value / unit) * unit
