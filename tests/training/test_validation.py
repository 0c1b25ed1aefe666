"""Val splits that measure nothing, other things or too slowly, in whole runs on drawn shapes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluator import evaluate, measure
from maskrcnn.inference.loading import load
from maskrcnn.training import validation
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.training_result import TrainingResult

Train = Callable[..., tuple[TrainingResult, Any]]


def change(folder: Path, split: str, edit: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((folder / f"{split}.json").read_text())
    edit(content)
    (folder / f"{split}.json").write_text(json.dumps(content))


def no_objects(content: dict[str, Any]) -> None:
    content["annotations"] = []


def crowds(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1


def unusable(content: dict[str, Any]) -> None:
    """Polygons beside the image: that shows only when they are drawn."""
    for annotation in content["annotations"]:
        annotation["segmentation"] = [[900, 900, 910, 900, 910, 910]]


def boxes(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        del annotation["segmentation"]


@pytest.mark.parametrize("edit", [no_objects, crowds, unusable])
def test_a_val_split_without_an_object_is_told_once_and_nothing_is_best(
    shapes: Path, tmp_path: Path, train: Train, edit: Callable[[dict[str, Any]], None]
) -> None:
    change(shapes, "val", edit)
    run, display = train(shapes, tmp_path / "run", epochs=8, evaluations=8, patience=2)
    assert run.steps == 16
    assert run.ended == ""
    assert run.best == {}
    assert not (run.folder / "best.safetensors").exists()
    assert (run.folder / "last.safetensors").is_file()
    assert sum("nothing can be measured" in note for note in display.notes) == 1
    assert display.evaluations == []


def test_an_unusable_object_of_the_val_split_is_reported_once_and_counted(
    shapes: Path, tmp_path: Path, train: Train
) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = [[900, 900, 910, 900, 910, 910]]

    change(shapes, "val", spoil)
    run, display = train(shapes, tmp_path / "run", epochs=3, evaluations=3)
    assert len(display.evaluations) == 3
    (problem,) = run.skipped
    assert (problem.file, problem.annotation, problem.objects_lost) == (str(shapes / "val.json"), 1, 1)
    assert display.notes.count(str(problem)) == 1
    assert any("1 object; log.txt names each" in line for line in display.lines)


def test_a_val_split_of_boxes_is_judged_by_boxes(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(shapes, "val", boxes)
    scores = iter([3.0, 5.0, 4.0, 4.5, 9.0])

    def measured(*args: Any, **kwargs: Any) -> Any:
        found = measure(*args, **kwargs)
        found.evaluation.metrics["box_AP"] = next(scores)
        return found

    monkeypatch.setattr(validation, "measure", measured)
    run, _ = train(shapes, tmp_path / "run", epochs=10, evaluations=10, patience=2)
    assert run.best["box_AP"] == 5
    assert run.ended == "no better box AP in 2 evaluations"


def test_classes_that_val_does_not_share_are_told_before_the_first_step(
    shapes: Path, tmp_path: Path, prepared: Callable[..., tuple[PreparedRun, Any]]
) -> None:
    def rename(content: dict[str, Any]) -> None:
        for category in content["categories"]:
            category["name"] += "s"

    change(shapes, "val", rename)
    with pytest.raises(MaskRCNNError, match="no name in common"):
        prepared(shapes, tmp_path / "run")


def test_objects_of_a_class_that_is_not_trained_measure_nothing(shapes: Path, tmp_path: Path, train: Train) -> None:
    def add(content: dict[str, Any]) -> None:
        content["categories"].append({"id": 9, "name": "moon"})
        for annotation in content["annotations"]:
            annotation["category_id"] = 9

    change(shapes, "val", add)
    run, display = train(shapes, tmp_path / "run", epochs=2, evaluations=2)
    assert run.best == {}
    assert any("nothing can be measured" in note for note in display.notes)


def test_best_is_judged_over_the_classes_that_are_trained(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(content: dict[str, Any]) -> None:
        content["categories"].append({"id": 9, "name": "moon"})
        content["annotations"][0]["category_id"] = 9

    def measured(*args: Any, **kwargs: Any) -> Any:
        found = measure(*args, **kwargs)
        per_class = found.evaluation.per_class
        per_class["disc"]["mask_AP"], per_class["triangle"]["mask_AP"] = 30.0, 60.0
        per_class["moon"]["mask_AP"], found.evaluation.metrics["mask_AP"] = 0.0, 30.0
        return found

    change(shapes, "val", add)
    monkeypatch.setattr(validation, "measure", measured)
    run, _ = train(shapes, tmp_path / "run", epochs=1, evaluations=1)
    assert run.best["mask_AP"] == pytest.approx(45)


def test_other_names_hold_for_the_val_split_too(shapes: Path, tmp_path: Path, train: Train) -> None:
    """Names that swap the data's: val is measured under the same ones, as `evaluate` does on data so named."""
    settings = {"epochs": 30, "evaluations": 1, "lr": 3e-3, "lr_batch": 2, "names": ("triangle", "disc")}
    run, _ = train(shapes, tmp_path / "run", **settings)

    def swap(content: dict[str, Any]) -> None:
        names = [category["name"] for category in content["categories"]]
        for category, name in zip(content["categories"], reversed(names), strict=True):
            category["name"] = name

    change(shapes, "val", swap)
    again = evaluate(load(run.folder / "last.safetensors", "cpu"), open_dataset(shapes, "val"))
    assert run.best["box_AP"] == pytest.approx(again.metrics["box_AP"], abs=1e-6)
    assert run.evaluation is not None
    assert run.evaluation.per_class.keys() == {"triangle", "disc"}
    assert list(run.evaluation.per_class) == ["triangle", "disc"]


def test_an_evaluation_that_takes_too_much_of_the_minutes_waits_for_the_end(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def slow(predictor: Any, dataset: Any, advance: Callable[[], None], **settings: Any) -> Any:
        calls.append(len(dataset))

        def advanced() -> None:
            time.sleep(0.1)
            advance()

        return measure(predictor, dataset, advance=advanced, **settings)

    monkeypatch.setattr(validation, "measure", slow)
    run, display = train(shapes, tmp_path / "run", minutes=0.03, evaluations=3)
    assert len(calls) >= 2
    assert len(display.evaluations) == 1
    assert (run.folder / "best.safetensors").is_file()
    assert sum("are left out, all but the last" in note for note in display.notes) == 1
