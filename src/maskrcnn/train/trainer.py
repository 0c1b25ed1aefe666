"""The training loop: batches in, `last` and `best` checkpoints out."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

import maskrcnn
from maskrcnn.data.augment import Augmentation
from maskrcnn.data.dataset import Dataset
from maskrcnn.data.loader import training_loader
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluate.evaluator import Evaluation, evaluate
from maskrcnn.model.batch import Batch
from maskrcnn.model.config import preset
from maskrcnn.model.losses import Losses
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.predict.predictor import PRECISIONS, Predictor, pick_device, pick_precision
from maskrcnn.train.cpu import keep_depthwise_in_fp32
from maskrcnn.train.ema import EMA
from maskrcnn.train.history import History
from maskrcnn.train.optimizer import build_optimizer
from maskrcnn.train.recipe import Recipe
from maskrcnn.train.schedule import rate_factor
from maskrcnn.weights.checkpoint import save_checkpoint
from maskrcnn.weights.load import Report, copy_weights, load_backbone, read_any

SHOW_EVERY_S = 1.0
SAVE_EVERY_S = 120.0


class Display(Protocol):
    """Where a run shows how it goes."""

    def note(self, line: str) -> None: ...
    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None: ...
    def evaluating(self, done: int, total: int) -> None: ...
    def evaluated(self, evaluation: Evaluation, best: bool) -> None: ...


@dataclass
class TrainingRun:
    """What a run left behind."""

    folder: Path
    steps: int
    images: int
    seconds: float
    best: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    skipped: list[str] = field(default_factory=list)


def build_model(recipe: Recipe, names: tuple[str, ...]) -> tuple[MaskRCNN, Report | None]:
    """The recipe's network for these classes, filled from ``init`` or ``backbone_weights`` if it names one."""
    report = None
    if recipe.init:
        checkpoint, notes = read_any(recipe.init)
        model = MaskRCNN(checkpoint.config.replace(**recipe.model), names)
        report = copy_weights(model, checkpoint, recipe.init)
        report.notes += notes
    else:
        model = MaskRCNN(preset(recipe.preset).replace(**recipe.model), names)
        if recipe.backbone_weights:
            report = load_backbone(model, recipe.backbone_weights)
    return model, report


class Trainer:
    """One run of a recipe on a data set, into a folder."""

    def __init__(
        self,
        recipe: Recipe,
        train_data: Dataset,
        val_data: Dataset | None,
        folder: Path,
        display: Display,
        device: str = "auto",
    ) -> None:
        self.recipe, self.val_data, self.folder, self.display = recipe, val_data, folder, display
        picked = pick_device(device)
        precision = recipe.precision
        if precision == "auto":
            precision = "bf16" if _has_fast_bf16(picked) else "fp32"
        self.precision = precision
        mixed = {"fp32": "no"}.get(precision, precision)
        # accelerate keeps one state a process; without this a second run could not choose its precision.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(mixed_precision=mixed, cpu=picked.type == "cpu")
        set_seed(recipe.seed)
        names = recipe.names or train_data.names
        if len(names) != len(train_data.names):
            raise MaskRCNNError(
                f"names: expected {len(train_data.names)} for the classes {train_data.names}, found {list(names)}"
            )
        model, self.report = build_model(recipe, tuple(names))
        self.model = model.to(self.accelerator.device).to(memory_format=torch.channels_last).train()
        self.ema = EMA(self.model, recipe.ema)
        if self.accelerator.device.type == "cpu" and precision == "bf16":
            keep_depthwise_in_fp32(self.model)
        self.optimizer = build_optimizer(self.model, recipe)
        self.scaled_optimizer = self.accelerator.prepare(self.optimizer)
        self.loader = training_loader(
            train_data,
            self.model.config.preprocess,
            Augmentation(recipe.flip, recipe.turns, recipe.scale_jitter, recipe.colour, recipe.stains),
            recipe.canvas,
            recipe.batch_size,
            max((os.cpu_count() or 2) - 1, 1) if recipe.workers is None else recipe.workers,
            recipe.seed,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        self.total_steps = max(math.ceil(recipe.epochs * len(train_data) / recipe.batch_size), 1)
        self.steps = 0
        self.best: dict[str, float] = {}
        self.skipped: list[str] = []

    def run(self) -> TrainingRun:
        """Train to the end of the schedule; Ctrl-C ends it early and keeps what there is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.json").write_text(self.recipe.model_dump_json(indent=2))
        evaluations = self.recipe.evaluations if self.val_data is not None else 0
        progress, evaluated, interrupted = 0.0, 0, False
        started = shown = saved = time.monotonic()
        with History(self.folder / "history.csv") as history:
            try:
                for batch in self._batches():
                    losses = self._step(batch, progress)
                    now = time.monotonic()
                    progress = self._progress(now - started)
                    if now - shown > SHOW_EVERY_S or progress >= 1:
                        shown = now
                        values = self._read(losses)
                        history.write(self.steps, now - started, self.optimizer.param_groups[0]["lr"], values)
                        self._show(values, progress, now - started)
                    due = int(progress * evaluations + 1e-9)
                    if due > evaluated or now - saved > SAVE_EVERY_S or progress >= 1:
                        saved = now
                        self._save("last")
                    if due > evaluated:
                        evaluated = due
                        history.write(self.steps, now - started, mask_ap=self._evaluate()["mask_AP"])
                    if progress >= 1:
                        break
            except KeyboardInterrupt:
                interrupted = True
                self._save("last")
        images = self.steps * self.recipe.batch_size
        seconds = time.monotonic() - started
        return TrainingRun(self.folder, self.steps, images, seconds, self.best, interrupted, self.skipped)

    def _progress(self, seconds: float) -> float:
        """Share of the schedule done, by the clock or by steps."""
        done = seconds / (60 * self.recipe.minutes) if self.recipe.minutes else self.steps / self.total_steps
        return min(done, 1.0)

    def _read(self, losses: Losses) -> dict[str, float]:
        """The losses on the host. Raises `MaskRCNNError` when one is not a finite number."""
        values = dict(zip(Losses._fields, torch.stack(losses).tolist(), strict=True))
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise MaskRCNNError(
                f"the loss {', '.join(bad)} is not a finite number at step {self.steps}",
                fix=f"lower the learning rate (now {self.recipe.learning_rate:g}), or train in fp32",
            )
        return values

    def _show(self, values: dict[str, float], progress: float, seconds: float) -> None:
        speed = self.steps * self.recipe.batch_size / seconds
        self.display.step(progress, values, speed, seconds / progress - seconds)

    def _batches(self) -> Iterator[Batch]:
        for batch, problems in self.loader:
            for problem in problems:
                if problem not in self.skipped:
                    self.skipped.append(problem)
                    self.display.note(f"skipped {problem}")
            yield batch.to(self.accelerator.device)

    def _step(self, batch: Batch, progress: float) -> Losses:
        factor = rate_factor(self.steps, progress, self.recipe.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * factor
        with self.accelerator.autocast():
            losses = self.model.losses(batch)
        self.accelerator.backward(losses.total)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.scaled_optimizer.step()
        self.scaled_optimizer.zero_grad()
        self.steps += 1
        self.ema.update(self.model)
        return Losses(*(loss.detach() for loss in losses))

    def _evaluate(self) -> dict[str, float]:
        assert self.val_data is not None
        done, total = 0, len(self.val_data)

        def advance() -> None:
            nonlocal done
            done += 1
            self.display.evaluating(done, total)

        predictor = Predictor(self.ema.model, str(self.accelerator.device), self.precision)
        evaluation = evaluate(predictor, self.val_data, advance=advance)
        score = evaluation.metrics["mask_AP"]
        best = not self.best or not score <= self.best["mask_AP"]
        if best:
            self.best = {**evaluation.metrics, "step": self.steps}
            self._save("best")
        self.display.evaluated(evaluation, best)
        return evaluation.metrics

    def _save(self, name: str) -> None:
        provenance: dict[str, Any] = {
            "maskrcnn": maskrcnn.__version__,
            "recipe": json.loads(self.recipe.model_dump_json()),
            "steps": self.steps,
            "images_seen": self.steps * self.recipe.batch_size,
            "best": self.best,
        }
        save_checkpoint(self.ema.model, self.folder / f"{name}.safetensors", provenance)


def _has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32 there."""
    if device.type == "cuda":
        return pick_precision("auto", device) == PRECISIONS["bf16"]
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
