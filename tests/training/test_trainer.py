"""Whole training runs on drawn shapes: they learn, repeat, survive bad files and Ctrl-C, and say what happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluator import evaluate, measure
from maskrcnn.inference.loading import load
from maskrcnn.training.trainer import Trainer
from maskrcnn.training.training_result import TrainingResult
from maskrcnn.weights.checkpoint import read_checkpoint
from tests.small_learner import LEARNER, at_update, history, interrupt_at

Train = Callable[..., tuple[TrainingResult, Any]]
MODEL = {**LEARNER, "preprocess": {**LEARNER["preprocess"], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}


def weights(run: TrainingResult) -> dict[str, torch.Tensor]:
    return load(run.folder / "last.safetensors", "cpu").model.state_dict()


def test_four_images_can_be_learned_by_heart(shapes: Path, tmp_path: Path, train: Train) -> None:
    """The proof that losses, targets, decoding, masks and metrics fit together: mask AP of 90 in half a minute."""
    run, display = train(
        shapes, tmp_path / "run", model=MODEL, canvas=128, epochs=300, batch_size=4, lr_batch=4, colour=0, flip=False,
        scale_jitter=(1.0, 1.0), lr=1e-3, ema=0.9, evaluations=15, target_ap=90,
    )  # fmt: skip
    assert run.best["mask_AP"] > 90
    assert run.best["box_AP"] >= 90
    assert sum(display.losses[-1].values()) < 0.5 * sum(display.losses[0].values())
    model = load(tmp_path / "run" / "best.safetensors", "cpu")
    assert model.names == ("disc", "triangle")
    again = evaluate(model, open_dataset(shapes, "val"))
    assert again.metrics["mask_AP"] == pytest.approx(run.best["mask_AP"], abs=1e-6)
    result = model.predict(shapes / "val" / "1.png")
    assert len(result) == len(open_dataset(shapes, "val").objects(0).labels)
    rows = history(run.folder)
    assert sorted({int(row["step"]) for row in rows}) == [*range(1, run.steps + 1)]
    assert float(rows[-1]["mask_AP"]) == pytest.approx(run.best["mask_AP"])


def test_a_seed_repeats_a_run(shapes: Path, tmp_path: Path, train: Train) -> None:
    first, second, other = (
        weights(train(shapes, tmp_path / name, epochs=1.5, seed=seed)[0])
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named_once_and_the_run_goes_on(
    shapes: Path, tmp_path: Path, train: Train, workers: int
) -> None:
    (shapes / "train" / "2.png").write_bytes((shapes / "train" / "2.png").read_bytes()[:200])
    run, display = train(shapes, tmp_path / "run", epochs=4, workers=workers)
    assert run.steps == 8
    assert [problem.images_lost for problem in run.skipped] == [1]
    assert len(display.notes) == 1
    assert "2.png" in display.notes[0]
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("2.png") == 1
    assert "left out of the data: 1 image, 0 objects" in log


def test_a_val_image_that_cannot_be_read_counts(shapes: Path, tmp_path: Path, train: Train) -> None:
    (shapes / "val" / "2.png").write_bytes((shapes / "val" / "2.png").read_bytes()[:200])
    run, display = train(shapes, tmp_path / "run", epochs=2, evaluations=2)
    assert sum("2.png" in note for note in display.notes) == 1
    assert "left out of the data: 1 image, 0 objects" in display.lines[-1]
    assert run.skipped


def test_a_signal_saves_and_says_how_to_go_on(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        with monkeypatch.context() as patch:
            interrupt_at(2, patch, number)
            run, display = train(shapes, tmp_path / number.name, epochs=50)
        assert run.interrupted
        assert run.steps == 2
        assert weights(run)
        assert display.lines[-1] == "stopped after step 2; the run can be resumed"
        assert f"resume={str(run.folder)!r}" in str(run)
        assert (run.folder / "state.safetensors").is_file()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_second_ctrl_c_stops_at_once(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still running")

    at_update(1, twice, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(shapes, tmp_path / "run", epochs=50)


def test_minutes_end_the_run(shapes: Path, tmp_path: Path, train: Train) -> None:
    run, _ = train(shapes, tmp_path / "run", epochs=10_000, minutes=0.02)
    assert 1.2 <= run.seconds < 30


def test_early_stopping_waits_its_patience(shapes: Path, tmp_path: Path, train: Train) -> None:
    """Without learning, the first evaluation stays the best: a run of 20 evaluations ends with the third."""
    run, display = train(shapes, tmp_path / "run", epochs=20, evaluations=20, patience=2, lr=1e-12, ema=0)
    assert len(display.evaluations) == 3
    assert run.steps == 6
    assert not run.interrupted
    assert "no better mask AP in 2 evaluations" in run.ended
    assert run.best["step"] == 2
    assert not (run.folder / "state.safetensors").is_file()


def test_a_target_ends_the_run(shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskrcnn.training import validation

    def measured(*args: Any, **kwargs: Any) -> Any:
        found = measure(*args, **kwargs)
        scores.append(found.evaluation.metrics["mask_AP"] + 30 * len(scores))
        found.evaluation.metrics["mask_AP"] = scores[-1]
        return found

    scores: list[float] = []
    monkeypatch.setattr(validation, "measure", measured)
    run, _ = train(shapes, tmp_path / "run", epochs=10, evaluations=10, target_ap=50)
    assert len(scores) == 3
    assert "above 50" in run.ended


def test_stopped_in_its_last_evaluation_a_run_goes_on_with_it(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maskrcnn.training import validation

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return measure(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(validation, "measure", interrupted)
        run, _ = train(shapes, tmp_path / "run", epochs=2, evaluations=1)
    assert (run.steps, run.interrupted, run.best) == (4, True, {})
    run, _ = train(shapes, tmp_path / "run", resume=True, epochs=2, evaluations=1)
    assert (run.steps, run.interrupted, run.best["step"]) == (4, False, 4)
    assert (run.folder / "best.safetensors").is_file()


def test_a_stop_in_the_last_step_comes_too_late(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(4, monkeypatch)
    run, _ = train(shapes, tmp_path / "run", epochs=2, evaluations=0)
    assert (run.steps, run.interrupted) == (4, False)
    assert not (run.folder / "state.safetensors").is_file()


def test_without_a_val_split_there_is_no_best_and_it_says_so(shapes: Path, tmp_path: Path, train: Train) -> None:
    shutil.rmtree(shapes / "val")
    (shapes / "val.json").unlink()
    run, display = train(shapes, tmp_path / "run", epochs=1, evaluations=4)
    assert any("no val split" in note for note in display.notes)
    assert (run.folder / "last.safetensors").is_file()
    assert not (run.folder / "best.safetensors").exists()


def test_accumulated_batches_are_one_step_of_all_their_images(shapes: Path, tmp_path: Path, train: Train) -> None:
    """Two batches of one image and one of two differ only in how counts divide their losses."""
    run, display = train(shapes, tmp_path / "run", epochs=3, batch_size=1, accumulate=2)
    assert run.steps == 6
    assert run.images == 12
    whole, _ = train(shapes, tmp_path / "whole", epochs=3, batch_size=2)
    for one, other in zip(history(run.folder), history(whole.folder), strict=True):
        assert one["lr"] == other["lr"]
        for name in ("objectness", "rpn_box", "classification"):  # sampled in equal numbers from each image
            assert float(one[name]) == pytest.approx(float(other[name]), rel=0.05), name
    assert any("2 images each" in line for line in display.lines)


def test_classes_without_examples_are_named_and_a_table_shows_ids(shapes: Path, tmp_path: Path, train: Train) -> None:
    content = json.loads((shapes / "train.json").read_text())
    content["categories"].append({"id": 7, "name": "unicorn"})
    (shapes / "train.json").write_text(json.dumps(content))
    _, display = train(shapes, tmp_path / "run", epochs=0.5)
    assert "classes: 0 disc, 1 triangle, 2 unicorn" in display.lines
    assert [note for note in display.notes if "unicorn" in note and "no example" in note]


def test_data_without_an_object_says_why_it_cannot_train(shapes: Path, tmp_path: Path, train: Train) -> None:
    content = json.loads((shapes / "train.json").read_text())
    content["annotations"] = []
    (shapes / "train.json").write_text(json.dumps(content))
    with pytest.raises(MaskRCNNError, match="nothing to learn"):
        train(shapes, tmp_path / "run")


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_cannot_be_read_at_all_are_one_line(
    shapes: Path, tmp_path: Path, train: Train, workers: int
) -> None:
    for path in (shapes / "train").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MaskRCNNError, match="no image of the data set can be read") as caught:
        train(shapes, tmp_path / "run", workers=workers)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_image_and_more_objects_than_any_limit(tmp_path: Path, train: Train) -> None:
    """One image with 2,000 objects, in batches larger than the data."""
    from PIL import Image

    folder = tmp_path / "crowded"
    (folder / "train").mkdir(parents=True)
    Image.effect_noise((400, 500), 80).convert("RGB").save(folder / "train" / "only one äö.png")
    annotations = [
        {"id": number + 1, "image_id": 5, "category_id": 1, "bbox": [x, y, 8, 8], "area": 64, "iscrowd": 0,
         "segmentation": [[x, y, x + 8, y, x + 8, y + 8, x, y + 8]]}
        for number, (x, y) in enumerate((x, y) for x in range(0, 400, 10) for y in range(0, 500, 10))
    ]  # fmt: skip
    content = {
        "images": [{"id": 5, "file_name": "only one äö.png", "width": 400, "height": 500}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cell"}],
    }
    (folder / "train.json").write_text(json.dumps(content))
    model = {**LEARNER, "preprocess": {"short": [256, 256], "long": 320}}
    run, _ = train(folder, tmp_path / "run", epochs=4, batch_size=2, canvas=320, model=model)
    assert run.steps == 2
    assert all(float(row["mask"]) > 0 for row in history(run.folder))


def test_fine_tuning_copies_rows_by_name_and_renames_classes(
    shapes: Path, tmp_path: Path, train: Train, prepared: Callable[..., tuple[Any, Any]]
) -> None:
    train(shapes, tmp_path / "first", epochs=0.5)
    init = str(tmp_path / "first" / "last.safetensors")
    second, display = prepared(shapes, tmp_path / "second", init=init, names=("triangle", "star"))
    before = load(init, "cpu").model.box_head.logits.weight
    after = second.learner.model.box_head.logits.weight
    assert torch.equal(after[0], before[1])
    assert torch.equal(after[-1], before[-1])
    assert any("classes copied by name: triangle" in line for line in display.lines)
    assert any("star" in line for line in display.lines)
    with pytest.raises(MaskRCNNError, match="names"):
        prepared(shapes, tmp_path / "third", names=("one",))


def test_freezing_and_layer_decay_reach_the_weights(shapes: Path, tmp_path: Path, prepared: Callable[..., Any]) -> None:
    built, _ = prepared(shapes, tmp_path / "run", epochs=1, freeze=(0, 1), layer_decay=0.5, weight_decay=0)
    before = {key: value.clone() for key, value in built.learner.model.state_dict().items()}
    Trainer(built).run()
    moved = {key for key, value in built.learner.model.state_dict().items() if not torch.equal(value, before[key])}
    assert not any(key.startswith(("backbone.body.stem", "backbone.body.stages_0")) for key in moved)
    for part in ("backbone.body.stages_1", "backbone.body.stages_3", "fpn", "rpn", "box_head", "mask_head"):
        assert any(key.startswith(part) for key in moved), part


def test_a_compiled_run_learns_the_same(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the part of torch's compiler that needs no other one."""
    monkeypatch.setattr("maskrcnn.training.learner.COMPILER", "aot_eager")
    compiled = []
    compile_module = torch.nn.Module.compile

    def compiling(self: torch.nn.Module, **settings: object) -> None:
        compiled.append(self)
        compile_module(self, **settings)

    monkeypatch.setattr(torch.nn.Module, "compile", compiling)
    plain, fast = (weights(train(shapes, tmp_path / f"{on}", epochs=1, compile=on)[0]) for on in (False, True))
    assert len(compiled) == 2
    for name, value in plain.items():
        torch.testing.assert_close(fast[name], value, atol=1e-3, rtol=1e-2)


def test_a_checkpoint_knows_the_scale_and_the_size_of_objects_that_it_was_trained_at(
    shapes: Path, tmp_path: Path, train: Train
) -> None:
    train(shapes, tmp_path / "run", epochs=0.01)
    found = read_checkpoint(tmp_path / "run" / "last.safetensors").provenance["trained_at"]
    assert found.keys() == {"scale", "object_side"}
    assert min(found.values()) > 0
