"""Several processes under torchrun against one: the same weights, the same history, one log.

The network takes every proposal and samples every RoI. A choice among nearly equal scores turns on their last bit,
which convolutions round differently for batches of another size, and one RoI more or less is beyond 1e-5.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from timm.layers import convert_sync_batchnorm

from maskrcnn.model.losses import Losses
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.batch_size import crowded_batch
from maskrcnn.training.distributed import Objective, Processes
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.training_result import TrainingResult
from tests.small_learner import history, interrupt_at

Train = Callable[..., tuple[TrainingResult, Any]]
Build = Callable[..., tuple[PreparedRun, Any]]
ALL_ROIS = {"rpn_before_nms": [1100, 1100], "proposals": [1100, 1100], "rpn_nms": 1.0, "roi_samples": 1200}
SETTINGS: dict[str, Any] = {"epochs": 5, "evaluations": 1, "ema": 0, "warmup_steps": 1, "lr": 1e-3}


def under_torchrun(code: int, *words: object) -> str:
    """All output of ``maskrcnn train`` in two CPU processes, which end with this exit code."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "-m", "maskrcnn", "train", *map(str, words), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def difference(one: Path, two: Path) -> float:
    """The largest, over all weights of two checkpoints."""
    first, second = load_file(one / "last.safetensors"), load_file(two / "last.safetensors")
    return max(float((first[key] - second[key]).abs().max()) for key in second)


def losses(folder: Path) -> list[list[float]]:
    return [[float(row[name]) for name in Losses._fields] for row in history(folder) if row["mask"]]


def test_two_processes_equal_one_with_twice_the_batch(
    shapes: Path, tmp_path: Path, tiny: dict[str, Any], train: Train, prepared: Build
) -> None:
    settings = {**SETTINGS, "model": {**tiny, **ALL_ROIS}}
    (shapes / "train" / "3.png").write_bytes((shapes / "train" / "3.png").read_bytes()[:200])
    whole, _ = train(shapes, tmp_path / "one", **settings, batch_size=4)
    still, _ = train(shapes, tmp_path / "still", **{**settings, "lr": 1e-12}, batch_size=4)
    recipe = prepared(shapes, tmp_path / "unused", **settings, batch_size=2)[0].recipe
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(recipe.model_dump_json())))
    text = under_torchrun(
        1, shapes, "--recipe", tmp_path / "recipe.yaml", "--out", tmp_path / "two"
    )  # an image is skipped

    assert whole.steps == still.steps == 5
    assert difference(tmp_path / "two", tmp_path / "one") <= 1e-5
    assert difference(tmp_path / "still", tmp_path / "one") > 1e-3  # the weights have moved far more
    for mine, other in zip(losses(tmp_path / "two"), losses(tmp_path / "one"), strict=True):
        assert mine == pytest.approx(other, abs=1e-5)
    assert "2 processes" in text
    assert text.count("classes: 0 disc, 1 triangle") == 1
    assert text.count("3.png") == 1  # whichever process met it
    assert (tmp_path / "two" / "log.txt").read_text().count("3.png") == 1
    best = load_file(tmp_path / "two" / "best.safetensors")
    assert all(torch.equal(best[key], value) for key, value in load_file(tmp_path / "two" / "last.safetensors").items())


def test_a_run_goes_on_in_more_processes(
    shapes: Path, tmp_path: Path, tiny: dict[str, Any], train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in one process, resumed in two with half the batch: optimiser and stream position come along."""
    settings = {**SETTINGS, "model": {**tiny, **ALL_ROIS}, "evaluations": 0, "accumulate": 2, "batch_size": 2}
    train(shapes, tmp_path / "one", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(2, patch, signal.SIGTERM)
        train(shapes, tmp_path / "two", **settings)
    text = under_torchrun(0, "--resume", tmp_path / "two", "--batch-size", 1)
    assert "going on after step 2" in text
    assert len(losses(tmp_path / "two")) == 5
    assert difference(tmp_path / "two", tmp_path / "one") <= 1e-5


def test_alone_the_objective_is_the_models_losses(prepared: Build, shapes: Path, tmp_path: Path) -> None:
    model: MaskRCNN = prepared(shapes, tmp_path / "run")[0].learner.model
    batch = crowded_batch(model, 2, 64)
    expected = model.losses(batch)
    total, everywhere, own = Objective(model)(batch)
    torch.testing.assert_close(total, expected.total)
    torch.testing.assert_close(everywhere, torch.stack(expected).detach())
    assert torch.equal(everywhere, own)
    assert not everywhere.requires_grad


def test_one_process_agrees_with_itself() -> None:
    alone = Processes()
    assert alone.main
    assert alone.all_max(3.5, 0.0) == [3.5, 0.0]
    assert alone.all_gather(["a"]) == ["a"]
    assert alone.broadcast("b") == "b"


def test_norms_are_synchronised_under_their_names(prepared: Build, shapes: Path, tmp_path: Path) -> None:
    built, _ = prepared(shapes, tmp_path / "run", model={"backbone": "timm:test_resnet", "backbone_norm": "batch"})
    model = built.learner.model.eval()
    images, sizes = torch.randint(0, 256, (1, 3, 64, 64)), torch.tensor([[64, 64]])
    before, names = model.features(images, sizes).levels, list(model.state_dict())
    converted = convert_sync_batchnorm(model)
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in converted.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in converted.modules())
    assert list(converted.state_dict()) == names
    for one, other in zip(converted.features(images, sizes).levels, before, strict=True):
        torch.testing.assert_close(one, other)
