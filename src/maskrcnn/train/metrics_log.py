"""The numbers of a run: gathered on the device, read together, kept as CSV, sent to trackers, and watched.

Losses stay on the device until a second has passed or 16 steps wait, so that no step waits for the host; the batches of
those steps are kept until then, so that a number that is none is found with the batch it came from.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from accelerate import Accelerator

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.losses import Losses
from maskrcnn.train import failure_report, trackers
from maskrcnn.train.failure_report import StepRecord
from maskrcnn.train.metrics_csv import MetricsCsv
from maskrcnn.train.parallel import Processes
from maskrcnn.train.recipe import Recipe
from maskrcnn.train.run_log import RunLog
from maskrcnn.train.state import RunState
from maskrcnn.train.step_time import StepTimer

READ_EVERY_S, READ_EVERY_STEPS = 1.0, 16


class MetricsLog:
    """A context manager that opens and closes the history and the trackers.

    Args:
        state: where the run is, as the trainer moves it on; rows of later steps are cut from the history, and bad steps
            are counted here.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        dataset: Dataset,
        state: RunState,
        timer: StepTimer,
        log: RunLog,
        accelerator: Accelerator,
        processes: Processes,
    ) -> None:
        self.folder, self.recipe, self.dataset, self.state, self.log = folder, recipe, dataset, state, log
        self.timer = timer
        self.accelerator, self.processes = accelerator, processes
        self.first = dataclasses.replace(state)
        self.read_at = state.seconds
        self._steps: list[StepRecord] = []
        self._problems: list[Problem | str] = []
        self._csv: MetricsCsv | None = None

    def __enter__(self) -> MetricsLog:
        if self.processes.main:
            self._csv = MetricsCsv(self.folder / "history.csv", self.state.steps)
        trackers.start(self.accelerator, self.recipe, self.folder, self.state.steps)
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, MaskRCNNError):
            self.log.keep(f"error: {error}")
        if self._csv is not None:
            self._csv.close()
        trackers.finish(self.accelerator)

    @property
    def due(self) -> bool:
        """Whether it is time to read."""
        return self.state.seconds - self.read_at >= READ_EVERY_S or len(self._steps) >= READ_EVERY_STEPS

    def add(self, step: StepRecord) -> None:
        """A step just made."""
        self._steps.append(step)
        self._problems += [problem for loaded in step.loaded for problem in loaded.problems]

    def read(self, progress: float) -> None:
        """Bring the waiting numbers to the host, all at once.

        Raises:
            MaskRCNNError: one is not finite, and the recipe does not leave such steps out; its batch is on disk.
        """
        steps, self._steps = self._steps, []
        problems, self._problems = self._problems, []
        self.read_at = self.state.seconds
        self.log.tell(self.processes.gathered(problems))
        if not steps:
            return
        rows = torch.stack([step.numbers() for step in steps]).tolist()
        for step, row in zip(steps, rows, strict=True):
            losses = dict(zip(Losses._fields, row, strict=False))
            self.record(step.number, step.seconds, {"lr": step.rate, **losses, "grad_norm": row[len(losses)]})
            bad = failure_report.bad_numbers(row, scaled=self.accelerator.scaler is not None)
            if bad:
                self._bad_step(bad, step, row)
        seconds = self.state.seconds - self.first.seconds
        speed = (self.state.images - self.first.images) / max(seconds, 1e-9)
        self.log.display.step(progress, losses, speed, self.timer.remaining_s)

    def record(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """A row of the history, and a point in each tracker."""
        if self._csv is not None:
            try:
                self._csv.write(step, seconds, values)
                self._csv.flush()
            except OSError as error:  # a run is worth more than its history
                self.log.tell([f"history.csv lacks steps: {error.strerror or error}"])
        if self.recipe.track:
            self.accelerator.log(values, step=step)

    def _bad_step(self, bad: list[str], step: StepRecord, row: list[float]) -> None:
        place = failure_report.write_bad_step(self.folder, step, row, self.dataset, self.processes.rank)
        error = failure_report.bad_step(bad, step, self.dataset, place)
        self.state.bad_steps += 1
        if self.state.bad_steps > self.recipe.skip_bad_steps:
            raise error
        self.log.note(f"step left out, {self.state.bad_steps} of {self.recipe.skip_bad_steps}: {error.what}")
