"""The training loop: batches in, `last` and `best` checkpoints out, and a state to go on from as if never stopped.

Several processes run the same loop in step: what depends on a clock or a signal is agreed on, and the first alone
writes, prints and evaluates.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import maskrcnn
from maskrcnn.annotations.problem import Problem
from maskrcnn.config import to_dict
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.federated import is_federated
from maskrcnn.inference.predictor import Predictor
from maskrcnn.output.atomic_file import make_folder, write_text
from maskrcnn.text import plural
from maskrcnn.train import failure_report, trackers
from maskrcnn.train.batch_size import check_batch, free_memory
from maskrcnn.train.class_examples import check_examples, class_table
from maskrcnn.train.failure_report import StepRecord
from maskrcnn.train.interrupt import Interrupt
from maskrcnn.train.learner import Learner
from maskrcnn.train.metrics_log import MetricsLog
from maskrcnn.train.parallel import Processes
from maskrcnn.train.provenance import check_resumable, digest, inventory, write_inventory
from maskrcnn.train.recipe import Recipe
from maskrcnn.train.run_log import Display, NoDisplay, RunLog
from maskrcnn.train.run_setup import build_accelerator, build_loader, build_model, class_names
from maskrcnn.train.samples.loader import LoadedBatch
from maskrcnn.train.schedule import rate_factor
from maskrcnn.train.state import (
    RunState,
    SavedRun,
    check_space,
    make_room,
    read_state,
    remove_state,
    restore,
    save_state,
    saying_what_is_kept,
)
from maskrcnn.train.step_time import FEW_STEPS, StepTimer, duration_text
from maskrcnn.train.validation import NOTHING, Validation, measurable, renamed
from maskrcnn.weights.checkpoint import save_checkpoint


@dataclass
class TrainingResult:
    """What a run left behind."""

    folder: Path
    steps: int
    images: int
    seconds: float
    best: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    ended: str = ""  # why, if before the end of its schedule
    skipped: list[Problem] = field(default_factory=list)  # images and objects that were left out
    evaluation: Evaluation | None = None  # the last


class Trainer:
    """One run of a recipe on a data set, into a folder.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        resume: go on with the run saved in the folder.
        source: where the data is, for a later ``--resume``.

    Raises:
        MaskRCNNError: the recipe does not fit the data, the data has nothing to learn, or the folder holds an
            unfinished run, or none that fits.
    """

    def __init__(
        self,
        recipe: Recipe,
        train_data: Dataset,
        val_data: Dataset | None,
        folder: Path,
        display: Display,
        device: str = "auto",
        resume: bool = False,
        source: str = "",
    ) -> None:
        trackers.require(recipe.track)
        self.train_data, self.folder = train_data, folder
        self.accelerator, self.precision = build_accelerator(recipe, device, folder)
        self.processes = Processes()
        main = self.processes.main
        earlier = make_room(folder) if main and not resume else []
        saved = self.processes.from_main(read_state(folder) if main and resume else None)
        make_folder(folder)
        self.log = RunLog(folder / "log.txt" if main else None, display if main else NoDisplay(), fresh=not resume)
        for name in earlier:
            self.log.note(f"the folder's earlier weights are kept as {name}")
        names = class_names(recipe, train_data)
        self.log.say(class_table(names))
        if is_federated(train_data):
            self.log.note(
                "federated labels: in training, classes that an image's labels do not tell of count as absent"
            )
        for line in check_examples(train_data):
            self.log.note(line)
        for dataset in (train_data, val_data):
            self.log.tell(dataset.problems if dataset is not None else ())
        model, report = build_model(recipe, names, saved, train_data)
        self.log.say(*(report.lines() if report else ()))
        self.learner = Learner(model, recipe, self.accelerator, self.processes)
        self.recipe, self.images_a_step = self._sized(recipe, saved)
        self.rate = self.recipe.learning_rate(self.images_a_step)
        self.total_steps = self.recipe.total_steps(len(train_data), self.images_a_step)
        self.state = saved.state if saved else RunState()
        self.timer, self.told_step_time = StepTimer(self.recipe, self.state, self.total_steps), False
        self.about = self._begin(source, saved)
        self.interrupt, self.stopping, self.ended = Interrupt(), False, ""
        self.validation = Validation(
            self._measurable(val_data, names), self.recipe, self.state, self.log, self.interrupt
        )
        self.saved_at = self.state.seconds
        self._introduce(saved)

    def run(self) -> TrainingResult:
        """Train to the end of the schedule. Ctrl-C ends it early, and ``resume`` goes on from there."""
        state, recipe = self.state, self.recipe
        self.started = time.monotonic() - state.seconds
        self.metrics_log = MetricsLog(
            self.folder, recipe, self.train_data, state, self.timer, self.log, self.accelerator, self.processes
        )
        batches = self._batches()
        with self.interrupt, self.metrics_log:
            while True:
                if self.validation.due(self.progress):
                    self._evaluate()
                over = self.progress >= 1 or bool(self.ended)
                if over or self.stopping or state.seconds - self.saved_at >= 60 * recipe.save_minutes:
                    self._save(finished=over)
                if over or self.stopping:
                    break
                self._step(next(batches))
                if self.metrics_log.due:
                    self.metrics_log.read(self.progress)
                    self._tell_step_time()
        return self._result()

    @property
    def progress(self) -> float:
        """Share of the schedule done, by the clock or by steps."""
        minutes = self.recipe.minutes
        done = self.state.seconds / (60 * minutes) if minutes else self.state.steps / self.total_steps
        return min(done, 1.0)

    def _step(self, loaded: list[LoadedBatch]) -> None:
        """One step, for whose numbers nobody waits; and what all processes must agree on after it."""
        state, recipe = self.state, self.recipe
        step_at = recipe.step_at if recipe.schedule == "step" else None
        if not state.steps and self._settled:
            (state.untimed_s,) = self.processes.largest(self._elapsed)
        rate = self.rate * rate_factor(state.steps, self.progress, self.timer.warmup_steps, step_at)
        with self._watched_memory(loaded, whole=True):
            losses, own = self.learner.gradients([part.batch for part in loaded], state.steps)
        with self._watched_memory(loaded, whole=False):
            norm = self.learner.update(rate)
        state.steps += 1
        state.images += self.images_a_step
        state.seconds, stop = self.processes.largest(self._elapsed, float(self.interrupt.wanted))
        self.stopping = stop > 0
        if state.steps == 1 and not self._settled:
            state.untimed_steps, state.untimed_s = 1, state.seconds
        self.metrics_log.add(StepRecord(state.steps, state.seconds, rate, loaded, losses, own, norm))

    @property
    def _elapsed(self) -> float:
        """Seconds of the run by the first process's clock, 0 in the others."""
        return time.monotonic() - self.started if self.processes.main else 0.0

    @property
    def _settled(self) -> bool:
        """Whether a first step takes no longer than others do."""
        return self.accelerator.device.type == "cpu" and not self.recipe.compile

    def _tell_step_time(self) -> None:
        """Once a step was timed: how long it takes, and whether enough of them fit into the time."""
        if self.told_step_time or self.timer.step_s is None:
            return
        self.told_step_time = True
        self.log.say(self.timer.line())
        if self.recipe.minutes:
            self._warn_if_short()

    def _warn_if_short(self) -> None:
        if self.timer.too_short:
            why = f"a run of fewer than {FEW_STEPS} steps learns little"
            self.log.say(f"too short: {why}; {self.timer.advice()}")

    def _batches(self) -> Iterator[list[LoadedBatch]]:
        """The batches of each step, without end: those of the stream that no step has had."""
        batches = iter(build_loader(self.recipe, self.train_data, self.learner, self.state.images))
        while True:
            try:
                loaded = [next(batches) for _ in range(self.recipe.accumulate)]
            except MaskRCNNError as error:
                # What a worker process raises comes with its traceback.
                raise MaskRCNNError(str(error).rpartition("MaskRCNNError: ")[2].strip()) from None
            yield loaded

    @contextmanager
    def _watched_memory(self, loaded: list[LoadedBatch], whole: bool) -> Iterator[None]:
        """Tell that memory ran out; save first, if the weights are ``whole`` and no other process waits."""
        try:
            yield
            return
        except (RuntimeError, MemoryError) as error:
            if not failure_report.is_out_of_memory(error):
                raise
        number = self.state.steps + 1
        self.learner.forget()
        free_memory(self.accelerator.device)
        if whole and self.processes.count == 1 and number > 1:
            self._save(finished=False)
        raise failure_report.out_of_memory(number, loaded, self.train_data, self.recipe, self.folder)

    def _evaluate(self) -> None:
        """Measure the average on the val split, while the other processes wait."""
        self.metrics_log.read(self.progress)
        metrics = None
        if self.processes.main:
            predictor = Predictor(self.learner.ema.model, str(self.accelerator.device), self.precision)
            metrics = self.validation.measure(predictor, self.progress)
            free_memory(self.accelerator.device)
        metrics = self.processes.from_main(metrics)
        if metrics is None:
            self.stopping = True
            return
        if not metrics:
            self.validation.leave_out(self.progress)
            return
        better, self.ended = self.validation.judge(metrics, self.progress)
        self.metrics_log.record(self.state.steps, self.state.seconds, metrics)
        if better:
            self._checkpoint("best")

    def _save(self, finished: bool) -> None:
        """`last`, and the state unless the run is over. Numbers are read first: nothing is saved that is none."""
        self.metrics_log.read(self.progress)
        self.saved_at = self.state.seconds
        self._checkpoint("last")
        if self.processes.main and finished:
            remove_state(self.folder)
        elif self.processes.main:
            learner = self.learner
            parts = (learner.model, learner.ema, learner.optimizer, learner.scaler)
            with saying_what_is_kept(self.folder):
                save_state(self.folder, self.state, self.about, *parts)

    def _checkpoint(self, name: str) -> None:
        if self.processes.main:
            provenance = {
                "maskrcnn": maskrcnn.__version__,
                "recipe": json.loads(self.recipe.model_dump_json()),
                "steps": self.state.steps,
                "images_seen": self.state.images,
                "best": self.state.best,
            }
            with saying_what_is_kept(self.folder):
                save_checkpoint(self.learner.ema.model, self.folder / f"{name}.safetensors", provenance)

    def _sized(self, recipe: Recipe, saved: SavedRun | None) -> tuple[Recipe, int]:
        """The recipe with its batch size as a number, and the images of a step of all processes."""
        folds = recipe.accumulate * self.processes.count
        images = recipe.batch_size
        preprocess = self.learner.model.config.preprocess
        least = min(preprocess.short) // 2 if recipe.canvas == "own" else recipe.canvas
        count = 1 if images == "auto" else images
        check_batch(count, recipe.accumulate, least, preprocess.channels, self.accelerator.device)
        if images == "auto" and saved is not None:
            images = max(saved.about["images_a_step"] // folds, 1)
        elif images == "auto":
            canvas = preprocess.long if recipe.canvas == "own" else recipe.canvas
            largest, why = self.learner.largest_batch(32 * math.ceil(canvas / 32))
            images = min(largest, len(self.train_data))
            self.log.say(f"batch size {images}: {why}")
        assert isinstance(images, int)
        return recipe.model_copy(update={"batch_size": images}), images * folds

    def _measurable(self, val_data: Dataset | None, names: tuple[str, ...]) -> Dataset | None:
        """The val split under the names of the classes that are trained; None, and said why, if it is of no use."""
        if val_data is None:
            self.log.note("no val split: nothing is measured, there will be no `best` checkpoint, only `last`")
            return None
        dataset = renamed(val_data, dict(zip(self.train_data.names, names, strict=True)))
        if self.processes.from_main(self.processes.main and measurable(dataset, names)):
            return dataset
        self.log.note(NOTHING)
        return None

    def _begin(self, source: str, saved: SavedRun | None) -> dict[str, Any]:
        """Restore what was saved, if it fits; and what another run must know to go on with this one."""
        found = inventory(self.train_data)
        if saved is not None:
            check_resumable(self.folder, saved.about, self.recipe, self.images_a_step, found)
            learner = self.learner
            restore(saved, learner.model, learner.ema, learner.optimizer, learner.scaler)
        recipe = json.loads(self.recipe.model_dump_json())
        if self.processes.main:
            check_space(self.folder, self.learner.model)
            write_text(self.folder / "recipe.json", json.dumps(recipe, indent=2))
            write_inventory(self.folder, found)
        return {
            "recipe": recipe,
            "config": to_dict(self.learner.model.config),
            "images_a_step": self.images_a_step,
            "data": digest(found),
            "source": source,
        }

    def _introduce(self, saved: SavedRun | None) -> None:
        """What is about to happen."""
        log, recipe, val_data = self.log, self.recipe, self.validation.dataset
        log.say(
            f"train: {plural(len(self.train_data), 'image')}, val: {len(val_data) if val_data is not None else 'none'}"
        )
        several = f", {self.processes.count} processes" if self.processes.count > 1 else ""
        log.say(f"{self.precision} on {self.accelerator.device}{several}")
        fit = f"as many steps as fit into {duration_text(60 * recipe.minutes)}," if recipe.minutes else ""
        steps = fit or plural(self.total_steps, "step")
        log.say(f"{steps} of {plural(self.images_a_step, 'image')} each; peak learning rate {self.rate:.3g}")
        if not recipe.minutes:
            self._warn_if_short()
        if saved is not None:
            if saved.damage:
                log.note(f"{saved.damage}; the state before it is used")
            log.say(f"going on after step {self.state.steps}")
        log.say(f"step {self.state.steps + 1} is on its way: the first loss comes with it")

    def _result(self) -> TrainingResult:
        state = self.state
        self.processes.part()
        if state.steps < FEW_STEPS and not self.stopping and not self.ended:
            self.log.say(
                f"trained for only {plural(state.steps, 'step')}, from which little is learned; {self.timer.advice()}"
            )
        self.log.sum_up()
        if self.stopping:
            self.log.say(f"stopped after step {state.steps}; go on with: maskrcnn train --resume {self.folder}")
        elif self.ended:
            self.log.say(f"ended after step {state.steps}: {self.ended}")
        return TrainingResult(
            self.folder,
            state.steps,
            state.images,
            state.seconds,
            state.best,
            self.stopping,
            self.ended,
            self.log.lost,
            self.validation.last,
        )
