"""A small network and recipe with which whole runs take seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.datasets.open_dataset import Source, open_dataset
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.training.preparation import PreparedRun, prepare
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.trainer import Trainer
from maskrcnn.training.training_result import TrainingResult

TINY: dict[str, Any] = {
    "backbone": "timm:test_convnext",  # 4 stages, 300 k parameters, no batch norm
    "fpn_channels": 32,
    "anchor_sizes": [16, 32, 64, 128, 256],
    "roi_samples": 32,
    "box_hidden": [32],
    "mask_convs": [32],
    "rpn_before_nms": [100, 100],
    "proposals": [100, 100],
    "max_detections": 10,
    "preprocess": {"short": [64, 64], "long": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}
QUICK: dict[str, Any] = {
    "model": TINY, "batch_size": 2, "canvas": 64, "workers": 0, "evaluations": 0, "precision": "fp32",
    "warmup_steps": 5, "scale_jitter": (0.9, 1.1),
}  # fmt: skip


class Silent:
    """A display that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.losses: list[dict[str, float]] = []
        self.evaluations: list[Evaluation] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None:
        self.losses.append(losses)

    def evaluating(self, done: int, total: int) -> None: ...

    def evaluated(self, evaluation: Evaluation, best: bool) -> None:
        self.evaluations.append(evaluation)


def prepare_run(data: Path, out: Path, resume: bool = False, **settings: Any) -> tuple[PreparedRun, Silent]:
    display = Silent()
    val_data = open_dataset(data, "val") if Source(data).has("val") else None
    recipe = Recipe(**{**QUICK, **settings})
    return prepare(recipe, open_dataset(data, "train"), val_data, out, display, "cpu", resume, str(data)), display


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The tiny network's settings."""
    return dict(TINY)


@pytest.fixture
def prepared() -> Callable[..., tuple[PreparedRun, Silent]]:
    """``prepared(data, folder, resume=False, **settings)``: a run of a tiny network, and its display."""
    return prepare_run


@pytest.fixture
def train() -> Callable[..., tuple[TrainingResult, Silent]]:
    """As ``prepared``, run to its end."""

    def run(data: Path, out: Path, resume: bool = False, **settings: Any) -> tuple[TrainingResult, Silent]:
        built, display = prepare_run(data, out, resume, **settings)
        return Trainer(built).run(), display

    return run
