"""The training loop: steps, evaluations, `last` and `best` checkpoints, and a state to resume from to the bit.

Several processes run the same loop in step: they agree on what depends on a clock or a signal, and only the first one
writes, prints and evaluates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.predictor import Predictor
from maskrcnn.ops.memory import free_memory, is_out_of_memory
from maskrcnn.text import plural
from maskrcnn.training.failure_report import StepRecord, out_of_memory
from maskrcnn.training.learning_rate import rate_factor
from maskrcnn.training.metrics_log import MetricsLog
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.run_folder import remove_state, save_errors_explained
from maskrcnn.training.samples.loader import LoadedBatch
from maskrcnn.training.state import save_state
from maskrcnn.training.step_time import FEW_STEPS
from maskrcnn.training.training_result import TrainingResult
from maskrcnn.version import VERSION
from maskrcnn.weights.checkpoint import save_checkpoint


class Trainer:
    """Runs a `PreparedRun` once. Nothing is read or written before `run`."""

    def __init__(self, prepared: PreparedRun) -> None:
        self.prepared = prepared
        self.recipe, self.folder, self.state = prepared.recipe, prepared.folder, prepared.state
        self.learner, self.processes, self.log = prepared.learner, prepared.learner.processes, prepared.log
        self.validation, self.timer = prepared.validation, prepared.timer
        self.metrics_log = MetricsLog(prepared)
        self.saved_at = self.state.seconds
        self.stopping, self.ended, self.step_time_logged = False, "", False

    def run(self) -> TrainingResult:
        """Train to the end of the schedule. Ctrl-C ends it early; ``resume`` continues from there."""
        state = self.state
        self.started = time.monotonic() - state.seconds
        batches = self._batches()
        with self.prepared.interrupt, self.metrics_log:
            while True:
                if self.validation.due(self.progress):
                    self._evaluate()
                # An evaluation that was interrupted is still due: the run goes on with it.
                over = bool(self.ended) or (self.progress >= 1 and not self.validation.due(self.progress))
                self.stopping = self.stopping and not over
                if over or self.stopping or state.seconds - self.saved_at >= 60 * self.recipe.save_minutes:
                    self._save(finished=over)
                if over or self.stopping:
                    break
                self._step(next(batches))
                if self.metrics_log.due:
                    self.metrics_log.read(self.progress)
                    self._log_step_time()
        return self._result()

    @property
    def progress(self) -> float:
        """Share of the schedule done, by the clock or by steps."""
        minutes, state = self.recipe.minutes, self.state
        return min(state.seconds / (60 * minutes) if minutes else state.steps / self.timer.total_steps, 1.0)

    def _step(self, loaded: list[LoadedBatch]) -> None:
        """Make one step, whose losses stay on the device, and agree on the time and on stopping with all processes."""
        state, recipe = self.state, self.recipe
        step_at = recipe.step_at if recipe.schedule == "step" else None
        if not state.steps and self._settled:
            (state.untimed_s,) = self.processes.all_max(self._elapsed)
        rate = self.prepared.rate * rate_factor(state.steps, self.progress, self.timer.warmup_steps, step_at)
        with self._watched_memory(loaded, whole=True):
            losses, own = self.learner.gradients([part.batch for part in loaded], state.steps)
        with self._watched_memory(loaded, whole=False):
            norm = self.learner.update(rate)
        state.steps += 1
        state.images += self.prepared.images_a_step
        state.seconds, stop = self.processes.all_max(self._elapsed, float(self.prepared.interrupt.wanted))
        self.stopping = stop > 0
        if state.steps == 1 and not self._settled:
            state.untimed_steps, state.untimed_s = 1, state.seconds
        self.metrics_log.waiting.append(StepRecord(state.steps, state.seconds, rate, loaded, losses, own, norm))

    @property
    def _elapsed(self) -> float:
        """Seconds of the run by the first process's clock, 0 in the others."""
        return time.monotonic() - self.started if self.processes.main else 0.0

    @property
    def _settled(self) -> bool:
        """Whether a first step takes no longer than others do."""
        return self.learner.accelerator.device.type == "cpu" and not self.recipe.compile

    def _log_step_time(self) -> None:
        """Once a step was timed: log how long it takes, and whether enough of them fit into the time."""
        if not self.step_time_logged and self.timer.step_s is not None:
            self.step_time_logged = True
            self.log.say(self.timer.line(), *(self.timer.warnings() if self.recipe.minutes else ()))

    def _batches(self) -> Iterator[list[LoadedBatch]]:
        """The batches of each step, endlessly."""
        batches = iter(self.prepared.loader)
        while True:
            try:
                yield [next(batches) for _ in range(self.recipe.accumulate)]
            except MaskRCNNError as error:
                # An error of a worker process contains its traceback.
                raise MaskRCNNError(str(error).rpartition("MaskRCNNError: ")[2].strip()) from None

    @contextmanager
    def _watched_memory(self, loaded: list[LoadedBatch], whole: bool) -> Iterator[None]:
        """Explain that memory ran out; save first if the weights are ``whole``, in a run of one process."""
        try:
            yield
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        number = self.state.steps + 1
        self.learner.optimizer.zero_grad()
        free_memory(self.learner.accelerator.device)
        if whole and self.processes.count == 1 and number > 1:
            self._save(finished=False)
        raise out_of_memory(number, loaded, self.prepared.train_data, self.recipe, self.folder)

    def _evaluate(self) -> None:
        """Measure the average on the val split, while the other processes wait."""
        self.metrics_log.read(self.progress)
        metrics = None
        if self.processes.main:
            device = self.learner.accelerator.device
            predictor = Predictor(self.learner.ema.model, str(device), self.prepared.precision)
            metrics = self.validation.measure(predictor, self.progress)
            free_memory(device)
        metrics = self.processes.broadcast(metrics)
        if metrics is None:
            self.stopping = True
            return
        better, self.ended = self.validation.judge(metrics, self.progress)
        if metrics:
            self.metrics_log.record(self.state.steps, self.state.seconds, metrics)
        if better:
            self._checkpoint("best")

    def _save(self, finished: bool) -> None:
        """Save `last`, and the state unless the run is over; nothing is saved after a number that is not finite."""
        self.metrics_log.read(self.progress)
        self.saved_at = self.state.seconds
        self._checkpoint("last")
        if self.processes.main and finished:
            remove_state(self.folder)
        elif self.processes.main:
            with save_errors_explained(self.folder):
                save_state(self.folder, self.state, self.prepared.about, self.learner)

    def _checkpoint(self, name: str) -> None:
        if self.processes.main:
            provenance = {
                "maskrcnn": VERSION,
                "recipe": self.prepared.about["recipe"],
                "settled": self.prepared.about["settled"],
                "trained_at": self.prepared.about["trained_at"],
                "steps": self.state.steps,
                "images_seen": self.state.images,
                "best": self.state.best,
            }
            with save_errors_explained(self.folder):
                save_checkpoint(self.learner.ema.model, self.folder / f"{name}.safetensors", provenance)

    def _result(self) -> TrainingResult:
        state, log = self.state, self.log
        self.processes.leave_group()
        if state.steps < FEW_STEPS and not self.stopping and not self.ended:
            steps = plural(state.steps, "step")
            log.say(f"trained for only {steps}, from which little is learned; {self.timer.advice()}")
        log.sum_up()
        if self.prepared.subject is not None and not self.stopping:
            self.validation.explain(self.prepared.subject, self.prepared.train_data)
        if self.stopping:
            log.say(f"stopped after step {state.steps}; the run can be resumed")
        elif self.ended:
            log.say(f"ended after step {state.steps}: {self.ended}")
        run = TrainingResult(
            self.folder,
            state.steps,
            state.images,
            state.seconds,
            state.best,
            self.stopping,
            self.ended,
            [problem for problem in log.problems if problem.lossy],
            self.validation.last,
            notes=log.notes,
            settled=self.prepared.about["settled"],
            source=self.prepared.about["source"],
        )
        if (step := run.next_step) is not None:
            log.keep(f"to do next: {step.what} {step.reason} {step.command}")
        return run
