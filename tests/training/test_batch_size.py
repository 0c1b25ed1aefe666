"""Automatic batch size: it follows the memory, and leaves the model as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maskrcnn.errors import MaskRCNNError
from maskrcnn.training import batch_size
from maskrcnn.training.batch_size import CPU_LIMIT, check_batch, crowded_batch, largest_batch
from maskrcnn.training.learner import Learner
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.trainer import Trainer

Build = Callable[..., tuple[PreparedRun, Any]]


@pytest.fixture
def learner(shapes: Path, tmp_path: Path, prepared: Build) -> Learner:
    backbone = {"backbone": "timm:test_resnet", "backbone_norm": "batch"}
    return prepared(shapes, tmp_path / "run", model={**backbone, "preprocess": {"short": [64, 64]}}, preset="lite")[
        0
    ].learner


def free(monkeypatch: pytest.MonkeyPatch, number: float) -> None:
    monkeypatch.setattr(batch_size, "get_max_memory", lambda: {"cpu": number})


def test_it_grows_with_the_memory_and_falls_with_the_canvas(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 2**20)
    assert largest_batch(learner, 64)[0] == 1
    free(monkeypatch, 2**50)
    assert largest_batch(learner, 64)[0] == CPU_LIMIT
    free(monkeypatch, 1e9)
    small, why = largest_batch(learner, 128)
    assert "MiB" in why
    free(monkeypatch, 2e9)
    twice = largest_batch(learner, 128)[0]
    assert 1 < small < twice <= CPU_LIMIT
    assert abs(twice - 2 * small) <= 1
    free(monkeypatch, 1e9)
    assert largest_batch(learner, 256)[0] < small


def test_the_model_stays_as_it_was(learner: Learner) -> None:
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    largest_batch(learner, 64)
    assert all(torch.equal(value, before[name]) for name, value in learner.model.state_dict().items())
    assert all(value.grad is None for value in learner.model.parameters())


def test_a_crowded_batch_is_one_a_model_can_learn_from(learner: Learner) -> None:
    batch = crowded_batch(learner.model, 2, 96)
    assert batch.images.shape == (2, 3, 96, 96)
    assert ((batch.boxes[..., 2:] > batch.boxes[..., :2]) & (batch.boxes[..., 2:] <= 96)).all()
    assert (torch.stack(learner.model.losses(batch)) > 0).all()


def test_auto_in_a_recipe(shapes: Path, tmp_path: Path, prepared: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    built, display = prepared(shapes, tmp_path / "auto", batch_size="auto", epochs=1)
    assert built.recipe.batch_size == 4  # no more than there are images
    assert any(line.startswith("batch size 4:") for line in display.lines)
    assert built.rate == pytest.approx(5e-4 * (4 / 8) ** 0.5)
    assert Trainer(built).run().steps == 1
    free(monkeypatch, 1.0)
    assert prepared(shapes, tmp_path / "little", batch_size="auto")[0].recipe.batch_size == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 65536, "canvas": 512},
        {"batch_size": 8, "canvas": 16384},
        {"batch_size": 8, "accumulate": 65536, "canvas": 2048},
        {"batch_size": "auto", "canvas": 16384},
        {"batch_size": 65536, "canvas": "own"},
    ],
)
def test_a_step_beyond_all_memory_is_refused_before_it_is_made(
    shapes: Path,
    tmp_path: Path,
    prepared: Callable[..., Any],
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maskrcnn.training.batch_size.available_memory", lambda: 2**30)
    with pytest.raises(MaskRCNNError, match=r"batch_size .*at least .* GiB of memory, 1\.0 GiB are free"):
        prepared(shapes, tmp_path / "run", **settings)


def test_the_least_is_counted_from_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches of two images of 512 pixels: 3 MiB as bytes, and 64 bytes a pixel of one batch: 35 MiB."""
    for mib, refused in ((36, False), (34, True)):
        monkeypatch.setattr("maskrcnn.training.batch_size.available_memory", lambda mib=mib: mib * 2**20)
        with pytest.raises(MaskRCNNError) if refused else contextlib.nullcontext():
            check_batch(2, 2, 512, 3, torch.device("cpu"))
