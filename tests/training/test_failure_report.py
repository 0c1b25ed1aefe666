"""A number that is none, and memory that is not there: what is left on disk and said."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.batch import Batch
from maskrcnn.model.losses import Losses, Term
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training import metrics_log
from maskrcnn.training.failure_report import bad_numbers
from maskrcnn.training.learner import Learner
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.trainer import Trainer
from maskrcnn.training.training_result import TrainingResult

Train = Callable[..., tuple[TrainingResult, Any]]


def poison(monkeypatch: pytest.MonkeyPatch, *calls: int, value: float = math.nan) -> list[Batch]:
    """Spoil the mask loss of the n-th batches that the model sees; returns the batches it saw."""
    loss_terms, seen = MaskRCNN.loss_terms, []

    def spoiled(self: MaskRCNN, batch: Batch) -> Term:
        seen.append(batch)
        terms = loss_terms(self, batch)
        factor = torch.ones(5)
        if len(seen) in calls:
            factor[4] = value
        return Term(terms.total * factor, terms.samples)

    monkeypatch.setattr(MaskRCNN, "loss_terms", spoiled)
    return seen


def test_a_bad_loss_stops_with_its_batch_on_disk(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second batch of step 3, found although steps after it were made before anything was read."""
    seen = poison(monkeypatch, 6)
    monkeypatch.setattr(metrics_log, "READ_EVERY_S", math.inf)  # on a slow machine it would read after every step
    with pytest.raises(
        MaskRCNNError, match=r"loss mask is not a finite number at step 3;.*\.png.*nan-step-3"
    ) as caught:
        train(shapes, tmp_path / "run", epochs=50, accumulate=2)
    assert "lower the learning rate" in str(caught.value)
    assert len(seen) > 6
    place = tmp_path / "run" / "nan-step-3"
    assert sorted(path.name for path in place.iterdir()) == ["process-0-batch-1.json", "process-0-batch-1.safetensors"]
    report = json.loads((place / "process-0-batch-1.json").read_text())
    assert report["step"] == 3
    assert math.isnan(report["losses_of_the_step"]["mask"])
    assert math.isnan(report["losses_of_this_batch"]["mask"])
    assert math.isfinite(report["losses_of_this_batch"]["box"])
    batch, kept = seen[5], load_file(place / "process-0-batch-1.safetensors")
    assert all(torch.equal(kept[name], part) for name, part in batch._asdict().items())
    for row, image in enumerate(report["images"]):
        path = Path(image["file"])
        assert path.is_file()
        assert path.stem == str(image["id"])
        boxes = batch.boxes[row][batch.valid[row]]
        assert torch.equal(torch.tensor(image["boxes"]).reshape(-1, 4), boxes)
        sizes = torch.tensor(image["box_sizes"]).reshape(-1, 2)
        torch.testing.assert_close(sizes, boxes[:, 2:] - boxes[:, :2])
        assert [("disc", "triangle").index(name) for name in image["labels"]] == batch.labels[row].tolist()[
            : len(boxes)
        ]
    assert "error: the loss mask" in (tmp_path / "run" / "log.txt").read_text()
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_nothing_is_saved_after_a_bad_number(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, 4, value=math.inf)
    with pytest.raises(MaskRCNNError, match="step 4"):
        train(shapes, tmp_path / "run", epochs=50, save_minutes=0)
    state = load_file(tmp_path / "run" / "state.safetensors")
    assert all(bool(value.isfinite().all()) for value in state.values() if value.is_floating_point())
    assert not (tmp_path / "run" / "nan-step-3").exists()


def test_a_rate_beyond_all_measure_stops_with_advice(shapes: Path, tmp_path: Path, train: Train) -> None:
    with pytest.raises(MaskRCNNError, match="learning rate"):
        train(shapes, tmp_path / "run", epochs=200, lr=1e9, warmup_steps=0, clip_norm=1e12)
    assert list((tmp_path / "run").glob("nan-step-*/*.json"))


def test_bad_steps_can_be_left_out_and_are_counted(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, 2, 5)
    run, display = train(shapes, tmp_path / "run", epochs=4, skip_bad_steps=2, ema=0)
    assert run.steps == 8
    assert [note for note in display.notes if "step left out, 1 of 2" in note and "at step 2" in note]
    assert [note for note in display.notes if "step left out, 2 of 2" in note and "at step 5" in note]
    last = load_file(tmp_path / "run" / "last.safetensors")
    assert all(bool(value.isfinite().all()) for value in last.values() if value.is_floating_point())


def test_more_bad_steps_than_allowed_stop(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, 2, 3, 4)
    with pytest.raises(MaskRCNNError, match="at step 4"):
        train(shapes, tmp_path / "run", epochs=40, skip_bad_steps=2)


def test_a_bad_gradient_alone_is_bad_but_not_while_fp16_seeks_its_scale() -> None:
    row = [0.5] * len(Losses._fields) + [math.inf, *[0.5] * len(Losses._fields)]
    assert bad_numbers(row, scaled=False) == ["gradient's norm"]
    assert bad_numbers(row, scaled=True) == []
    row[1] = math.nan
    assert bad_numbers(row, scaled=True) == ["loss rpn_box"]


def test_out_of_memory_keeps_the_run_and_says_what_to_lower(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 4, "accumulate": 1}
    whole, _ = train(shapes, tmp_path / "whole", **settings)
    gradients = Learner.gradients

    def exhausted(self: Learner, batches: list[Batch], step: int) -> tuple[Tensor, Tensor]:
        if step == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return gradients(self, batches, step)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "gradients", exhausted)
        with pytest.raises(MaskRCNNError) as caught:
            train(shapes, tmp_path / "run", **settings)
    text = str(caught.value)
    for words in ("out of memory at step 3", ".png (64 x 64 pixels", "objects)", "batch_size to 2, with accumulate=2"):
        assert words in text
    assert f"--resume {tmp_path / 'run'} and less memory" in text
    # What it advises works.
    resumed, display = train(shapes, tmp_path / "run", resume=True, epochs=4, batch_size=2, accumulate=2)
    assert "going on after step 2" in display.lines
    assert resumed.steps == whole.steps


def test_other_errors_are_not_taken_for_want_of_memory(
    shapes: Path, tmp_path: Path, prepared: Callable[..., tuple[PreparedRun, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Learner, batches: list[Batch], step: int) -> tuple[Tensor, Tensor]:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Learner, "gradients", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        Trainer(prepared(shapes, tmp_path / "run")[0]).run()
