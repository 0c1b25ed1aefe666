"""TensorBoard's events, read back by TensorBoard; a package that is missing is one line."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.trackers import require
from maskrcnn.training.training_result import TrainingResult
from tests.small_learner import history, interrupt_at

Train = Callable[..., tuple[TrainingResult, Any]]


def events(folder: Path) -> dict[str, dict[int, float]]:
    """Value by step by name, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {name: {event.step: event.value for event in read.Scalars(name)} for name in read.Tags()["scalars"]}


def test_tensorboard_shows_what_the_history_says(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run that was stopped and resumed: each step once, with the numbers of the CSV file."""
    settings: dict[str, Any] = {"epochs": 3, "evaluations": 2, "track": ("tensorboard",)}
    with monkeypatch.context() as patch:
        interrupt_at(2, patch)
        train(shapes, tmp_path / "run", **settings)
    train(shapes, tmp_path / "run", resume=True, **settings)
    shown = events(tmp_path / "run" / "maskrcnn")
    rows = history(tmp_path / "run")
    for name in ("mask", "objectness", "lr", "grad_norm"):
        written = {int(row["step"]): float(row[name]) for row in rows if row[name]}
        assert shown[name].keys() == written.keys() == set(range(1, 7))
        assert shown[name] == pytest.approx(written, rel=1e-6)
    assert shown["mask_AP"].keys() == {3, 6}


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("tensorboard", "wandb", "mlflow"):
        with pytest.raises(MaskRCNNError, match=rf"pip install maskrcnn\[{name}\]"):
            require([name])
    require([])


def test_the_extras_exist() -> None:
    project = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    for name in ("tensorboard", "wandb", "mlflow"):
        assert f'\n{name} = ["{name}>=' in project
