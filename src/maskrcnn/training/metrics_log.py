"""The numbers of a run: read from the device, written to the CSV file, sent to trackers, and checked.

Losses stay on the device until a second has passed or 16 steps wait, so that no step waits for the host. The batches of
those steps are kept until then, so that a number that is not finite is reported with its batch.
"""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import torch

from maskrcnn.annotations.problem import Problem
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.losses import Losses
from maskrcnn.output.atomic_file import replacing
from maskrcnn.training import trackers
from maskrcnn.training.failure_report import StepRecord, bad_numbers, report_bad_step
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.run_folder import METRICS

COLUMNS = ("step", "seconds", "lr", *Losses._fields, "grad_norm", "mask_AP", "box_AP")
READ_EVERY_S, READ_EVERY_STEPS = 1.0, 16


class MetricsLog:
    """A context manager that opens and closes the CSV file and the trackers.

    Args:
        run: rows of steps after that of its state are removed from the CSV file; its state counts bad steps.
    """

    def __init__(self, run: PreparedRun) -> None:
        self.run = run
        self.images_before, self.seconds_before = run.state.images, run.state.seconds
        self.read_at = run.state.seconds
        self.waiting: list[StepRecord] = []  # their numbers are not read yet
        self._csv: MetricsCsv | None = None

    def __enter__(self) -> MetricsLog:
        run = self.run
        if run.learner.processes.main:
            self._csv = MetricsCsv(run.folder / METRICS, run.state.steps)
        trackers.start(run.learner.accelerator, run.recipe, run.folder, run.state.steps)
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, MaskRCNNError):
            self.run.log.keep(f"error: {error}")
        if self._csv is not None:
            self._csv.close()
        for tracker in self.run.learner.accelerator.trackers:
            tracker.finish()

    @property
    def due(self) -> bool:
        """Whether it is time to read."""
        return self.run.state.seconds - self.read_at >= READ_EVERY_S or len(self.waiting) >= READ_EVERY_STEPS

    def read(self, progress: float) -> None:
        """Copy the waiting numbers to the host, all at once, and record them.

        Raises:
            MaskRCNNError: one is not finite, and the recipe does not leave such steps out; its batch is on disk.
        """
        run = self.run
        steps, self.waiting = self.waiting, []
        self.read_at = run.state.seconds
        problems = [problem for step in steps for loaded in step.loaded for problem in loaded.problems]
        run.log.report(run.learner.processes.all_gather(problems))
        if not steps:
            return
        rows = torch.stack([step.numbers() for step in steps]).tolist()
        for step, row in zip(steps, rows, strict=True):
            losses = dict(zip(Losses._fields, row, strict=False))
            self.record(step.number, step.seconds, {"lr": step.rate, **losses, "grad_norm": row[len(losses)]})
            bad = bad_numbers(row, scaled=run.learner.accelerator.scaler is not None)
            if bad:
                self._bad_step(bad, step, row)
        seconds = run.state.seconds - self.seconds_before
        images_per_second = (run.state.images - self.images_before) / max(seconds, 1e-9)
        run.log.display.step(progress, losses, images_per_second, run.timer.remaining_s)

    def record(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """Write a row of the CSV file, and a point in each tracker."""
        if self._csv is not None:
            try:
                self._csv.write(step, seconds, values)
            except OSError as error:  # the run goes on without its history
                what = f"lacks steps: {error.strerror or error}"
                self.run.log.report([Problem("incomplete-history", METRICS, what, severity="warning")])
        if self.run.recipe.track:
            self.run.learner.accelerator.log(values, step=step)

    def _bad_step(self, bad: list[str], step: StepRecord, row: list[float]) -> None:
        run = self.run
        error = report_bad_step(run.folder, step, row, bad, run.train_data, run.learner.processes.rank)
        run.state.bad_steps += 1
        if run.state.bad_steps > run.recipe.skip_bad_steps:
            raise error
        run.log.note(f"step left out, {run.state.bad_steps} of {run.recipe.skip_bad_steps}: {error.what}")


class MetricsCsv:
    """A CSV file with a row for each step, and one for each evaluation.

    Args:
        after: the step that a run is resumed from: rows of later steps are removed. 0 starts a new file.
    """

    def __init__(self, path: Path, after: int = 0) -> None:
        kept = [row for row in read_metrics_csv(path) if int(row["step"]) <= after] if after and path.is_file() else []
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
            rows.writeheader()
            rows.writerows(kept)
        self.file = path.open("a", newline="", encoding="utf-8")
        self.rows = csv.DictWriter(self.file, COLUMNS, restval="", extrasaction="ignore")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # `write` has raised it before
            self.file.close()

    def write(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """Write a row of those values that have a column, with the 9 digits of a float32. Raises `OSError`."""
        row = {name: f"{value:.9g}" for name, value in values.items()}
        self.rows.writerow({"step": step, "seconds": round(seconds, 2), **row})
        self.file.flush()


def read_metrics_csv(path: Path) -> list[dict[str, str]]:
    """The rows of such a file, by column; an incomplete last line, left by a kill, is skipped."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["step"].isdecimal() and row[COLUMNS[-1]] is not None]
