"""A run is prepared before anything is trained, and a run that cannot be prepared changes nothing of an earlier one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.trainer import Trainer
from maskrcnn.training.training_result import TrainingResult

Build = Callable[..., tuple[PreparedRun, Any]]
Train = Callable[..., tuple[TrainingResult, Any]]


def test_a_prepared_run_can_be_inspected_and_nothing_is_trained_yet(
    shapes: Path, tmp_path: Path, prepared: Build
) -> None:
    run, display = prepared(shapes, tmp_path / "run", epochs=3, evaluations=1, accumulate=2)
    assert (run.images_a_step, run.timer.total_steps, run.rate) == (4, 3, pytest.approx(5e-4 * (4 / 8) ** 0.5))
    assert run.learner.model.names == ("disc", "triangle")
    assert (run.precision, run.learner.accelerator.device.type) == ("fp32", "cpu")
    assert run.validation.dataset is not None
    assert run.about["source"] == str(shapes)
    assert (run.state.steps, run.state.images) == (0, 0)
    assert display.lines[-1].startswith("step 1 has started")
    assert {path.name for path in run.folder.iterdir()} == {"log.txt", "recipe.json", "data.json"}
    average = run.learner.ema.model.state_dict()
    assert all(torch.equal(value, average[name]) for name, value in run.learner.model.state_dict().items())


def test_making_a_trainer_opens_no_file(shapes: Path, tmp_path: Path, prepared: Build) -> None:
    run, display = prepared(shapes, tmp_path / "run", epochs=1, evaluations=1)
    lines, seen, watching = list(display.lines), [], True

    def watch(event: str, arguments: Any) -> None:
        if watching and (event == "open" or event.startswith(("os.", "shutil.", "subprocess.", "socket."))):
            seen.append((event, arguments))

    sys.addaudithook(watch)  # stays for the life of the process
    try:
        trainer = Trainer(run)
    finally:
        watching = False
    assert seen == []
    assert display.lines == lines
    assert trainer.run().steps == 2


def test_weights_in_the_folder_of_the_run_can_start_it(shapes: Path, tmp_path: Path, train: Train) -> None:
    """They are read before they are renamed to make room for those of the new run."""
    first, _ = train(shapes, tmp_path / "run", epochs=0.5)
    _, display = train(shapes, first.folder, epochs=0.5, init=str(first.folder / "last.safetensors"))
    assert any("kept as last.earlier.safetensors" in note for note in display.notes)


def test_a_run_that_cannot_start_leaves_an_earlier_one_as_it_was(
    shapes: Path, tmp_path: Path, train: Train, prepared: Build
) -> None:
    first, _ = train(shapes, tmp_path / "run", epochs=0.5)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    for settings in ({"names": ("one",)}, {"init": "nowhere.safetensors"}):
        with pytest.raises(MaskRCNNError):
            prepared(shapes, first.folder, **settings)
        assert {path.name: path.read_bytes() for path in first.folder.iterdir()} == before
