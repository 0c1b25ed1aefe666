"""The saved state: whenever somebody looks, or the process dies, a whole one is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.train import state
from maskrcnn.train.state import NAME, PREVIOUS, RunState, read_about, read_state, save_state
from maskrcnn.train.trainer import Trainer


@pytest.fixture
def save(shapes: Path, tmp_path: Path, trainer: Callable[..., tuple[Trainer, Any]]) -> Callable[[int], Path]:
    """``save(steps)``: save a run at that step, and return its folder."""
    learner = trainer(shapes, tmp_path / "run")[0].learner

    def saved(steps: int) -> Path:
        parts = (learner.model, learner.ema, learner.optimizer, learner.scaler)
        save_state(tmp_path / "run", RunState(steps=steps), {}, *parts)
        return tmp_path / "run"

    return saved


def test_at_no_moment_it_is_gone(save: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, replace, there = save(1), Path.replace, []

    def replaced(path: Path, target: Path) -> Path:
        there.append((folder / NAME).is_file())
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replaced)
    save(2)
    assert there
    assert all(there)


@pytest.mark.parametrize("links", [True, False])
def test_the_state_before_is_kept(save: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    for steps in (1, 2, 3):
        folder = save(steps)
    assert {path.name for path in folder.iterdir() if "state" in path.name} == {NAME, PREVIOUS}
    assert read_about(folder)[0].steps == 3
    (folder / NAME).write_bytes((folder / NAME).read_bytes()[:-20])
    assert read_about(folder)[0].steps == 2
    assert NAME in read_state(folder).damage


def test_an_unreadable_state_is_an_error_of_ours(save: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that goes while it is being opened: what the reader of safetensors raises then is no OSError."""

    def gone(path: Path, framework: str) -> None:
        raise RuntimeError(f"unable to open file <{path}> in read-only mode")

    folder = save(1)
    monkeypatch.setattr(state, "safe_open", gone)
    with pytest.raises(MaskRCNNError, match=rf"{NAME}.*damaged.*unable to open"):
        read_state(folder)
