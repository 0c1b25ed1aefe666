"""The saved state: whenever somebody looks, or the process dies, a whole one is there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from maskrcnn.errors import MaskRCNNError
from maskrcnn.training import state
from maskrcnn.training.metrics_log import read_metrics_csv
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.run_folder import PREVIOUS_STATE, STATE
from maskrcnn.training.state import RunState, read_state, save_state
from maskrcnn.training.trainer import Trainer
from tests.small_learner import at_update

ABOUT = {"recipe": {}, "config": {}, "images_a_step": 8, "data": 0, "source": ""}


@pytest.fixture
def save(shapes: Path, tmp_path: Path, prepared: Callable[..., tuple[PreparedRun, Any]]) -> Callable[[int], Path]:
    """``save(steps)``: save a run at that step, and return its folder."""
    learner = prepared(shapes, tmp_path / "run")[0].learner

    def saved(steps: int) -> Path:
        save_state(tmp_path / "run", RunState(steps=steps), ABOUT, learner)
        return tmp_path / "run"

    return saved


def test_at_no_moment_it_is_gone(save: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, replace, there = save(1), Path.replace, []

    def replaced(path: Path, target: Path) -> Path:
        there.append((folder / STATE).is_file())
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
    assert {path.name for path in folder.iterdir() if "state" in path.name} == {STATE, PREVIOUS_STATE}
    assert read_state(folder, tensors=False).state.steps == 3
    (folder / STATE).write_bytes((folder / STATE).read_bytes()[:-20])
    assert read_state(folder, tensors=False).state.steps == 2
    assert STATE in read_state(folder).damage


def test_an_unreadable_state_is_an_error_of_ours(save: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that goes while it is being opened: what the reader of safetensors raises then is no OSError."""

    def gone(path: Path, framework: str) -> None:
        raise RuntimeError(f"unable to open file <{path}> in read-only mode")

    folder = save(1)
    monkeypatch.setattr(state, "safe_open", gone)
    with pytest.raises(MaskRCNNError, match=rf"{STATE}.*damaged.*unable to open"):
        read_state(folder)


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("state", {"steps": -1}, "steps"),
        ("state", {"steps": "many"}, "steps"),
        ("state", {"seconds": float("nan")}, "seconds"),
        ("state", {"best": {"mask_AP": "high"}}, "best.mask_AP"),
        ("state", [], "dictionary"),
        ("about", ABOUT | {"images_a_step": 0}, "images_a_step"),
        ("about", ABOUT | {"source": 3}, "source"),
        ("about", {"recipe": {}}, "config"),
        ("scaler", {"scale": [1]}, "scale"),
        ("ema_steps", "x", "invalid literal"),
    ],
)
def test_values_that_no_run_has_are_refused(save: Callable[[int], Path], key: str, value: Any, place: str) -> None:
    folder = save(1)
    with safe_open(folder / STATE, "pt") as file:
        metadata = file.metadata()
    metadata[key] = json.dumps(value)
    save_file(load_file(folder / STATE), folder / STATE, metadata)
    with pytest.raises(MaskRCNNError, match=rf"damaged.*{place}"):
        read_state(folder)
    metadata[key] = "[" * 100_000
    save_file(load_file(folder / STATE), folder / STATE, metadata)
    with pytest.raises(MaskRCNNError, match="damaged"):
        read_state(folder, tensors=False)


def test_tensors_of_another_model_are_refused(
    save: Callable[[int], Path], tmp_path: Path, shapes: Path, prepared: Any
) -> None:
    saved = read_state(save(1))
    learner = prepared(shapes, tmp_path / "other")[0].learner
    name = next(name for name in saved.tensors if name.startswith("model.") and name.endswith("weight"))
    for tensors in ({**saved.tensors, name: torch.ones(3)}, {}, saved.tensors | {"optimizer.x": torch.ones(1)}):
        with pytest.raises(MaskRCNNError, match="not of this model"):
            state.restore(saved._replace(tensors=tensors), learner)


@pytest.mark.parametrize("room", [100, 200_000])
def test_a_full_disk_ends_a_run_that_can_go_on(
    shapes: Path,
    tmp_path: Path,
    prepared: Callable[..., tuple[PreparedRun, Any]],
    file_size_limit: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    room: int,
) -> None:
    """From the third step on no file can be larger than ``room`` bytes."""
    folder = tmp_path / "run"
    at_update(3, lambda: file_size_limit(room), monkeypatch)
    built, display = prepared(shapes, folder, epochs=3, save_minutes=1e-9)
    with pytest.raises(MaskRCNNError, match=r"File too large; the state saved before is kept.*--resume .*run"):
        Trainer(built).run()
    assert any("log.txt lacks lines: File too large" in note for note in display.notes) == (room == 100)
    file_size_limit(2**40)
    assert not [path for path in folder.iterdir() if "part" in path.name or path.name.startswith(".")]
    assert read_state(folder, tensors=False).state.steps == 2
    built, _ = prepared(shapes, folder, resume=True, epochs=3)
    assert Trainer(built).run().steps == 6
    steps = [row["step"] for row in read_metrics_csv(folder / "history.csv")]
    assert steps == [str(step) for step in range(1, 7)]


def test_files_have_the_rights_that_the_umask_gives(save: Callable[[int], Path]) -> None:
    before = os.umask(0o027)
    try:
        folder = save(1)
    finally:
        os.umask(before)
    assert (folder / STATE).stat().st_mode & 0o777 == 0o640
