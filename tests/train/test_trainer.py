"""Whole training runs on drawn shapes: it learns, repeats, survives bad files and Ctrl-C."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from maskrcnn.data.dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluate.evaluator import Evaluation, evaluate
from maskrcnn.predict.predictor import load
from maskrcnn.train.recipe import Recipe
from maskrcnn.train.trainer import Trainer, TrainingRun

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "backbone_norm": "batch",
    "fpn_channels": 64,
    "anchor_sizes": [16, 32, 64, 128, 256],
    "roi_samples": 64,
    "box_hidden": [128],
    "mask_convs": [64, 64],
    "rpn_before_nms": [200, 200],
    "proposals": [200, 200],
    "max_detections": 10,
    "preprocess": {"short": [128, 128], "long": 128, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}
QUICK = {
    "model": SMALL, "batch_size": 2, "canvas": 128, "workers": 0, "evaluations": 0, "precision": "fp32",
    "warmup_steps": 5, "scale_jitter": (0.9, 1.1),
}  # fmt: skip


class Silent:
    """A display that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.losses: list[dict[str, float]] = []
        self.evaluations: list[Evaluation] = []

    def note(self, line: str) -> None:
        self.notes.append(line)

    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None:
        self.losses.append(losses)

    def evaluating(self, done: int, total: int) -> None: ...

    def evaluated(self, evaluation: Evaluation, best: bool) -> None:
        self.evaluations.append(evaluation)


def train(data: Path, out: Path, **settings: Any) -> tuple[TrainingRun, Silent]:
    display = Silent()
    recipe = Recipe(**{**QUICK, **settings})
    return Trainer(recipe, open_dataset(data, "train"), open_dataset(data, "val"), out, display, "cpu").run(), display


def test_four_images_can_be_learned_by_heart(shapes: Path, tmp_path: Path) -> None:
    """The proof that losses, targets, decoding, masks and metrics fit together: mask AP of 90 in two minutes."""
    run, display = train(
        shapes, tmp_path / "run", epochs=240, batch_size=4, colour=0, flip=False, scale_jitter=(1.0, 1.0), lr=1e-3,
        ema=0.9, evaluations=1,
    )  # fmt: skip
    assert run.best["mask_AP"] >= 90
    assert run.best["box_AP"] >= 90
    assert sum(display.losses[-1].values()) < 0.5 * sum(display.losses[0].values())
    model = load(tmp_path / "run" / "best.safetensors", "cpu")
    assert model.names == ("disc", "triangle")
    again = evaluate(model, open_dataset(shapes, "val"))
    assert again.metrics["mask_AP"] == pytest.approx(run.best["mask_AP"], abs=1e-6)
    result = model.predict(shapes / "val" / "1.png")
    assert len(result) == len(open_dataset(shapes, "val").objects(0).labels)
    with (tmp_path / "run" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["mask_AP"]) == pytest.approx(run.best["mask_AP"])


def weights(run: TrainingRun) -> dict[str, torch.Tensor]:
    return load(run.folder / "last.safetensors", "cpu").model.state_dict()


def test_a_seed_repeats_a_run(shapes: Path, tmp_path: Path) -> None:
    first, second, other = (
        weights(train(shapes, tmp_path / name, epochs=1.5, seed=seed)[0])
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_an_unreadable_image_is_named_and_the_run_goes_on(shapes: Path, tmp_path: Path) -> None:
    (shapes / "train" / "2.png").write_bytes((shapes / "train" / "2.png").read_bytes()[:200])
    run, display = train(shapes, tmp_path / "run", epochs=2)
    assert run.steps == 4
    assert len(run.skipped) == len(display.notes) == 1
    assert "2.png" in display.notes[0]


def test_ctrl_c_keeps_the_weights(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer._step

    def interrupted(self: Trainer, *args: Any) -> Any:
        if self.steps == 2:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(Trainer, "_step", interrupted)
    run, _ = train(shapes, tmp_path / "run", epochs=50)
    assert run.interrupted
    assert run.steps == 2
    assert weights(run)


def test_minutes_end_the_run(shapes: Path, tmp_path: Path) -> None:
    run, _ = train(shapes, tmp_path / "run", epochs=10_000, minutes=0.05)
    assert 3 <= run.seconds < 60


def test_a_loss_that_is_no_number_stops_with_advice(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match="learning rate"):
        train(shapes, tmp_path / "run", epochs=200, lr=1e9, warmup_steps=0, clip_norm=1e12)


def test_fine_tuning_copies_rows_by_name_and_renames_classes(shapes: Path, tmp_path: Path) -> None:
    train(shapes, tmp_path / "first", epochs=0.5)
    recipe = Recipe(**{**QUICK, "init": str(tmp_path / "first" / "last.safetensors"), "names": ("triangle", "star")})
    trainer = Trainer(recipe, open_dataset(shapes, "train"), None, tmp_path / "second", Silent(), "cpu")
    before = load(tmp_path / "first" / "last.safetensors", "cpu").model.box_head.logits.weight
    after = trainer.model.box_head.logits.weight
    assert torch.equal(after[0], before[1])
    assert torch.equal(after[-1], before[-1])
    assert trainer.report is not None
    assert trainer.report.classes_copied == ["triangle"]
    assert trainer.report.classes_new == ["star"]
    with pytest.raises(MaskRCNNError, match="names"):
        Trainer(
            recipe.model_copy(update={"names": ("one",)}),
            open_dataset(shapes, "train"),
            None,
            tmp_path,
            Silent(),
            "cpu",
        )
