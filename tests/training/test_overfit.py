"""What the proof by heart changes in a recipe, chooses of the data, and says at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskrcnn.config import Config, preset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.datasets.survey.split import subset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.training.overfit import few_images, overfit_recipe, verdict
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.training_result import TrainingResult


def test_only_images_that_can_be_read_and_show_something(shapes: Path) -> None:
    dataset = open_dataset(shapes, "train")
    assert [record.path.stem for record in few_images(dataset, 2).records] == ["1", "2"]
    assert len(few_images(dataset, 99)) == 4
    (shapes / "train" / "1.png").write_bytes(b"")
    dataset.labels.reader.annotations[1] = []  # type: ignore[attr-defined]
    assert [record.path.stem for record in few_images(dataset, 1).records] == ["3"]
    with pytest.raises(MaskRCNNError, match="can be read and shows an object"):
        few_images(subset(dataset, [0, 1]), 4)


def test_the_recipe_leaves_nothing_to_chance_but_keeps_what_was_asked_for(shapes: Path) -> None:
    few = few_images(open_dataset(shapes, "train"), 3)
    recipe = overfit_recipe(Recipe(turns=True, stains=True, epochs=7, lr=1e-2), few, {"epochs", "lr"})
    assert (recipe.flip, recipe.turns, recipe.stains, recipe.colour, recipe.copy_paste) == (False, False, False, 0, 0)
    assert recipe.scale_jitter == (1, 1)
    assert recipe.canvas == "own"
    assert (recipe.batch_size, recipe.target_ap, recipe.epochs, recipe.lr) == (3, 90, 7, 1e-2)
    assert recipe.learning_rate(3) == 1e-2
    assert overfit_recipe(Recipe(), few, set()).epochs == 600
    assert Recipe.model_validate(recipe.model_dump()) == recipe


def run_with(box: float, mask: float, per_class: dict[str, float], **changes: Any) -> TrainingResult:
    scores = {name: {"mask_AP": score} for name, score in per_class.items()}
    evaluation = Evaluation({"mask_AP": mask, "box_AP": box}, scores, 4, 100)
    found = TrainingResult(Path("run"), 10, 40, 1.0, {"mask_AP": mask, "box_AP": box}, evaluation=evaluation)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("run", "config", "words"),
    [
        (run_with(90, 40, {"disc": 40.0}), preset("lite"), "boxes are found (AP 90.0)"),
        (run_with(60, 60, {"disc": 90.0, "triangle": 20.0}), preset("lite"), "classes below AP 50: triangle"),
        (run_with(50, 50, {"disc": 50.0}), preset("lite").replace(max_detections=1), '"max_detections": '),
        (
            run_with(5, 5, {"disc": 5.0}),
            preset("lite").replace(preprocess={"short": [12, 12], "long": 12}),
            "objects are narrower than 8 pixels",
        ),
        (run_with(80, 80, {"disc": 80.0}), preset("lite"), "more epochs"),
        (run_with(80, 80, {"disc": 80.0}, interrupted=True), preset("lite"), "stopped before its end"),
    ],
)
def test_what_stands_in_the_way_is_told(shapes: Path, run: TrainingResult, config: Config, words: str) -> None:
    learned, lines = verdict(run, open_dataset(shapes, "train"), config)
    assert not learned
    assert "4 images not learned in 10 steps" in lines[0]
    assert any(words in line for line in lines[1:]), lines


def test_success_is_one_line(shapes: Path) -> None:
    learned, lines = verdict(run_with(95, 93, {"disc": 93.0}), open_dataset(shapes, "train"), preset("lite"))
    assert learned
    assert len(lines) == 1
    assert "93.0" in lines[0]
