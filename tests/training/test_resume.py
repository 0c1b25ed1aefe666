"""A run that was killed goes on as if it never was; one that does not fit is refused by what differs."""

from __future__ import annotations

import json
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

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.batch import Batch
from maskrcnn.model.losses import Term
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.state import read_state
from maskrcnn.training.training_result import TrainingResult
from tests.small_learner import at_update, history, interrupt_at

Train = Callable[..., tuple[TrainingResult, Any]]
# `maskrcnn train` on a clock that counts steps: it saves after every third and is killed in the sixth.
KILLED = """
import os, signal
from types import SimpleNamespace
from maskrcnn.cli.main import main
from maskrcnn.training import trainer
from maskrcnn.training.learner import Learner

update, steps = Learner.update, []

def updated(self, rate):
    if len(steps) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    steps.append(rate)
    return update(self, rate)

Learner.update = updated
trainer.time = SimpleNamespace(monotonic=lambda: float(len(steps)))
main()
"""


def test_killed_in_mid_epoch_the_losses_go_on_to_the_bit(
    shapes: Path, tmp_path: Path, train: Train, prepared: Callable[..., tuple[PreparedRun, Any]]
) -> None:
    """SIGKILL of a real process, between two saves: history and weights equal those of a run left alone."""
    settings: dict[str, Any] = {"batch_size": 3, "accumulate": 2, "workers": 1, "evaluations": 2, "epochs": 12}
    whole, _ = train(shapes, tmp_path / "whole", **settings)
    recipe = prepared(shapes, tmp_path / "unused", **settings, save_minutes=0.05)[0].recipe
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(json.loads(recipe.model_dump_json())))
    words = ["--recipe", tmp_path / "recipe.yaml", "--out", tmp_path / "killed", "--device", "cpu"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "train", *map(str, [shapes, *words])], capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    saved, written = read_state(tmp_path / "killed", tensors=False).state.steps, history(tmp_path / "killed")
    assert saved == 3  # 18 images, amid the fifth epoch of 4
    assert [row["step"] for row in written if row["lr"]] == ["1", "2", "3", "4", "5"]

    resumed, display = train(shapes, tmp_path / "killed", resume=True, **settings)
    assert f"going on after step {saved}" in display.lines
    assert resumed.steps == whole.steps
    ours, theirs = history(tmp_path / "killed"), history(tmp_path / "whole")
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        for name in mine.keys() - {"seconds"}:
            assert mine[name] == other[name], (mine["step"], name)
    for name in ("last", "best"):
        one, two = (load_file(run.folder / f"{name}.safetensors") for run in (resumed, whole))
        assert all(torch.equal(one[key], two[key]) for key in two)
    assert resumed.seconds > 0


def stopped(train: Train, data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """A run stopped by Ctrl-C after two steps."""
    with monkeypatch.context() as patch:
        interrupt_at(2, patch)
        assert train(data, folder, **settings)[0].interrupted


@pytest.mark.parametrize(
    "settings", [{"optimizer": "sgd", "lr": 0.01}, {"schedule": "step", "ema": 0}, {"patience": 1}]
)
def test_optimisers_schedules_and_patience_go_on(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    settings |= {"epochs": 3, "evaluations": 3 if "patience" in settings else 0}
    whole, _ = train(shapes, tmp_path / "whole", **settings)
    stopped(train, shapes, tmp_path / "run", monkeypatch, **settings)
    resumed, _ = train(shapes, tmp_path / "run", resume=True, **settings)
    assert resumed.steps == whole.steps
    assert resumed.best == pytest.approx(whole.best, nan_ok=True)
    one, two = (load_file(run.folder / "last.safetensors") for run in (resumed, whole))
    assert all(torch.equal(one[key], two[key]) for key in two)


def test_what_draws_from_torch_goes_on(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As dropout in a backbone would: losses weighted at random."""
    loss_terms = MaskRCNN.loss_terms

    def weighted(self: MaskRCNN, batch: Batch) -> Term:
        terms = loss_terms(self, batch)
        return Term(terms.total * torch.rand(5), terms.samples)

    monkeypatch.setattr(MaskRCNN, "loss_terms", weighted)
    train(shapes, tmp_path / "whole", epochs=3)
    torch.rand(7)
    stopped(train, shapes, tmp_path / "run", monkeypatch, epochs=3)
    train(shapes, tmp_path / "run", resume=True, epochs=3)
    for mine, other in zip(history(tmp_path / "run"), history(tmp_path / "whole"), strict=True):
        assert mine["mask"] == other["mask"]
    assert len({row["mask"] for row in history(tmp_path / "run")}) == 6


class DiedError(Exception):
    """The end of a process, for a test that goes on."""


def test_a_damaged_state_falls_back_to_the_one_before(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"epochs": 3, "save_minutes": 0}
    whole, _ = train(shapes, tmp_path / "whole", **settings)

    def die() -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        at_update(4, die, patch)
        with pytest.raises(DiedError):
            train(shapes, tmp_path / "run", **settings)
    newest, before = (tmp_path / "run" / name for name in ("state.safetensors", "state.previous.safetensors"))
    assert read_state(tmp_path / "run", tensors=False).state.steps == 3
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    resumed, display = train(shapes, tmp_path / "run", resume=True, **settings)
    assert any("damaged" in note and "state.safetensors" in note for note in display.notes)
    assert "going on after step 2" in display.lines
    one, two = (load_file(run.folder / "last.safetensors") for run in (resumed, whole))
    assert all(torch.equal(one[key], two[key]) for key in two)

    newest.write_bytes(content[:1000])
    before.write_bytes(b"")
    with pytest.raises(MaskRCNNError, match=r"state\.safetensors.*damaged.*previous.*damaged.*init .*last"):
        train(shapes, tmp_path / "run", resume=True, **settings)


def test_what_does_not_fit_is_named(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    stopped(train, shapes, run, monkeypatch, epochs=3)
    for settings, words in (
        ({"lr": 1e-3}, "lr was None, is 0.001"),
        ({"epochs": 4}, "epochs was 3"),
        ({"batch_size": 4}, "a step took 2 images, takes 4"),
        ({"names": ("a", "b")}, "names was None"),
    ):
        with pytest.raises(MaskRCNNError, match=words) as caught:
            train(shapes, run, resume=True, **{"epochs": 3, **settings})
        assert "init " in str(caught.value)
    content = json.loads((shapes / "train.json").read_text())
    shorter = {**content, "images": content["images"][:-1]}
    renamed = {**content, "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "square"}]}
    for changed, words in ((shorter, r"gone or of another size: train/4\.png"), (renamed, "classes were .*triangle")):
        (shapes / "train.json").write_text(json.dumps(changed))
        with pytest.raises(MaskRCNNError, match=words):
            train(shapes, run, resume=True, epochs=3)
    (shapes / "train.json").write_text(json.dumps(content))
    # Half the batch and twice the batches, other workers and trackers: the same run.
    resumed, _ = train(shapes, run, resume=True, epochs=3, batch_size=1, accumulate=2, workers=1)
    assert resumed.steps == 6


def test_folders_without_a_run_and_with_an_unfinished_one(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MaskRCNNError, match="expected an unfinished run"):
        train(shapes, tmp_path / "nothing", resume=True)
    stopped(train, shapes, tmp_path / "run", monkeypatch, epochs=3)
    with pytest.raises(MaskRCNNError, match=r"unfinished run.*resume "):
        train(shapes, tmp_path / "run", epochs=3)
    train(shapes, tmp_path / "run", resume=True, epochs=3)
    with pytest.raises(MaskRCNNError, match=r"init .*last\.safetensors"):
        train(shapes, tmp_path / "run", resume=True, epochs=3)
    train(shapes, tmp_path / "run", epochs=1)


def test_the_weights_of_a_finished_run_are_kept(shapes: Path, tmp_path: Path, train: Train) -> None:
    first, _ = train(shapes, tmp_path / "run", epochs=1, seed=1)
    before = load_file(first.folder / "last.safetensors")
    _, display = train(shapes, tmp_path / "run", epochs=1, seed=2)
    assert any("kept as last.earlier.safetensors" in note for note in display.notes)
    kept, new = (load_file(first.folder / f"{name}.safetensors") for name in ("last.earlier", "last"))
    assert all(torch.equal(kept[key], before[key]) for key in before)
    assert not all(torch.equal(new[key], before[key]) for key in before)
