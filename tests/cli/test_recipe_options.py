"""Options of `maskrcnn train` become settings of the recipe under their own names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from maskrcnn.cli.recipe_options import RecipeOptions
from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.training_result import TrainingResult
from tests.command import run

GIVEN = {
    "preset": "resnet50_fpn", "init": "nuclei", "backbone_weights": "w.pth", "minutes": 3.5, "epochs": 2.0,
    "batch_size": "auto", "accumulate": 2, "canvas": "own", "lr": 0.1, "optimizer": "sgd", "precision": "bf16",
    "evaluations": 1, "patience": 3, "workers": 0, "seed": 7, "track": ["mlflow", "wandb"],
}  # fmt: skip


def test_each_option_reaches_the_recipe_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [field.name for field in dataclasses.fields(RecipeOptions)] == list(GIVEN)
    received: list[Recipe] = []

    def receive(data: object, folder: Path, recipe: Recipe, *rest: object) -> TrainingResult:
        received.append(recipe)
        return TrainingResult(folder, 1, 1, 1.0)

    monkeypatch.setattr("maskrcnn.verbs.train._train", receive)
    words: list[object] = ["train", tmp_path, "--out", tmp_path / "run"]
    for name, value in GIVEN.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}", one]
    code, text = run(*words)
    assert code == 0, text
    code, text = run("train", tmp_path, "--out", tmp_path / "run")
    assert code == 0, text
    assert received == [Recipe(**GIVEN | {"track": ("mlflow", "wandb")}), Recipe()]


def test_assignments_win_and_null_leaves_a_setting_alone() -> None:
    options = RecipeOptions(epochs=3.0, lr=0.1)
    changes = options.changes(["lr=0.2", "flip=false", "names=null", "canvas=own", 'model={"fpn_channels": 8}'])
    assert changes == {"epochs": 3.0, "lr": 0.2, "flip": False, "canvas": "own", "model": {"fpn_channels": 8}}
    assert RecipeOptions().changes([]) == {}
    assert RecipeOptions().changes(["init=null"]) == {"init": None}  # refused where the recipe is made
    with pytest.raises(MaskRCNNError, match="expected name=value"):
        options.changes(["lr"])
