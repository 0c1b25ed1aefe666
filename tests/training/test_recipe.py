"""A recipe from YAML and options: what wins, and what is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.recipe import Recipe, read_recipe


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_options_win_over_the_file_and_none_leaves_it(tmp_path: Path) -> None:
    path = written(tmp_path, "epochs: 7\ncanvas: 256\nnames: [grüne Ähre]\nmodel: {max_detections: 9}\n")
    recipe = read_recipe(path, {"epochs": 2.5, "canvas": None, "seed": None})
    assert recipe == Recipe(epochs=2.5, canvas=256, names=("grüne Ähre",), model={"max_detections": 9})


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert read_recipe(written(tmp_path, text), {}) == Recipe() == read_recipe(None, {})


def test_the_recorded_recipe_is_the_recipe() -> None:
    recipe = Recipe(names=("a", "b"), lr=3e-4, scale_jitter=(0.5, 2.0), model={"preprocess": {"short": [640, 1024]}})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", r"unknown setting 'epoch' \(did you mean 'epochs'\?\)"),
        ("zzz: 3", r"unknown setting 'zzz' \(known: preset, model"),
        ("epochs: 0", r"epochs: .*greater than 0, found 0"),
        ("batch_size: 1.5", r"batch_size: .*integer.*found 1\.5"),
        ("batch_size: 0", r"batch_size: .*greater than or equal to 1, found 0"),
        ("track: [comet]", r"track\.0: .*'tensorboard', 'wandb' or 'mlflow', found 'comet'"),
        ("step_at: [1.5]", r"step_at\.0: .*less than 1, found 1\.5"),
        ("canvas: 100", r"canvas: .*multiple of 32, found 100"),
        ("optimizer: adam", r"optimizer: .*'adamw' or 'sgd', found 'adam'"),
        ("scale_jitter: [1]", r"scale_jitter\.1: Field required"),
        ("names: cat", r"names: .*found 'cat'"),
        ("colour: 2", r"colour: .*less than or equal to 1, found 2"),
        ("- epochs", r"expected 'name: value' lines, found list"),
        ("just words", r"expected 'name: value' lines, found str"),
        ("lr: [1", r"not a readable recipe"),
    ],
)
def test_mistakes_are_told_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MaskRCNNError, match=rf"recipe\.yaml: {message}"):
        read_recipe(written(tmp_path, text), {})


@pytest.mark.parametrize(
    ("text", "field"),
    [
        *(
            (f"{name}: {value}", name)
            for name in ("epochs", "minutes", "lr", "clip_norm")
            for value in (".inf", ".nan", 0)
        ),
        *((f"{name}: .nan", name) for name in ("colour", "ema", "weight_decay", "layer_decay", "save_minutes")),
        *((f"{name}: true", name) for name in ("batch_size", "epochs", "lr", "seed", "patience", "canvas", "workers")),
        *(
            (f"{name}: {10**30}", name)
            for name in ("batch_size", "accumulate", "canvas", "seed", "workers", "evaluations", "patience")
        ),
        *((f"{name}: {10**30}", name) for name in ("warmup_steps", "lr_batch", "skip_bad_steps", "epochs", "minutes")),
        ("workers: 5000", "workers"),
        ("seed: 4294967296", "seed"),
        ("scale_jitter: [2, 0.1]", "scale_jitter"),
        ("scale_jitter: [1, .inf]", "scale_jitter"),
        ("scale_jitter: [1, 1e9]", "scale_jitter"),
        ("step_at: [0.9, 0.5]", "step_at"),
        ("step_at: [0.5, 0.5]", "step_at"),
        ("step_at: [.nan]", "step_at"),
        ("names: [cat, dog, cat]", "names"),
        ("names: ['']", "names"),
        ("freeze: [-1]", "freeze"),
        ("lr: 2001-99-99", "lr"),
        ("lr: [[[[1]]]]", "lr"),
        ("lr: '[/x]'", "lr"),
        (f"optimizer: {'x' * 100_000}", "optimizer"),
        (f"{'x' * 1000}: 1", "unknown setting"),
        ("flip: !!bool abc", "not a readable recipe"),
        ("lr: !!float abc", "not a readable recipe"),
        ("lr: !!python/object/apply:os.getcwd []", "not a readable recipe"),
        (f"lr: {'9' * 5000}", "not a readable recipe"),
        (f"lr: {'[' * 3000}", "not a readable recipe"),
        ("model: {fpn_chanels: 64}", "fpn_chanels"),
        ("model: {1: 64}", "model"),
        ("preset: light", "preset"),
    ],
)
def test_values_that_no_run_can_have_name_the_file_and_the_field(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(MaskRCNNError, match=r"recipe\.yaml: ") as caught:
        read_recipe(written(tmp_path, text), {})
    assert field in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_the_most_that_can_be_asked_for(tmp_path: Path) -> None:
    text = "seed: 4294967295\nworkers: 1024\nscale_jitter: [1, 1]\nstep_at: []\nbatch_size: 65536\nfreeze: [0, layer1]"
    assert read_recipe(written(tmp_path, text), {}).seed == 2**32 - 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError, match=r"missing\.yaml: not a readable recipe"):
        read_recipe(tmp_path / "missing.yaml", {})
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with pytest.raises(MaskRCNNError, match=r"picture\.yaml: not a readable recipe"):
        read_recipe(tmp_path / "picture.yaml", {})


def test_a_name_that_is_a_number(tmp_path: Path) -> None:
    with pytest.raises(MaskRCNNError):
        read_recipe(written(tmp_path, "1: 2"), {})


@pytest.mark.parametrize("changes", [{"seed": -1}, {"scale_jitter": (0.0, 1.0)}, {"scale_jitter": (-1.0, 1.0)}])
def test_values_no_run_can_use(changes: dict[str, Any]) -> None:
    with pytest.raises(MaskRCNNError):
        read_recipe(None, changes)


def test_learning_rates_follow_the_images_of_a_step() -> None:
    assert Recipe().learning_rate(8) == 5e-4
    assert Recipe().learning_rate(32) == pytest.approx(1e-3)
    assert Recipe(optimizer="sgd").learning_rate(16) == pytest.approx(0.02)
    assert Recipe(optimizer="sgd").learning_rate(4) == pytest.approx(0.005)
    assert Recipe(optimizer="sgd", lr=0.3).learning_rate(8) == 0.3
    assert Recipe(lr=0.1, lr_batch=2).learning_rate(8) == pytest.approx(0.2)
    assert Recipe(optimizer="sgd", lr=0.1, lr_batch=2).learning_rate(8) == pytest.approx(0.4)


@pytest.mark.parametrize("text", ["batch_size: auto", "batch_size: '4'", "freeze: [0, layer1]", "track: [tensorboard]"])
def test_settings_of_several_kinds(tmp_path: Path, text: str) -> None:
    name, _, value = text.partition(": ")
    expected: Any = {"auto": "auto", "'4'": 4, "[0, layer1]": (0, "layer1"), "[tensorboard]": ("tensorboard",)}[value]
    assert getattr(read_recipe(written(tmp_path, text), {}), name) == expected


def test_yaml_reads_an_exponent_without_a_point_as_text(tmp_path: Path) -> None:
    assert read_recipe(written(tmp_path, "lr: 1e-3"), {}).lr == 0.001


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Recipe().epochs = 3  # type: ignore[misc]


def test_every_setting_has_its_help() -> None:
    assert all(field.description for field in Recipe.model_fields.values())


def test_the_repositorys_recipes_can_be_read() -> None:
    folder = Path(__file__).resolve().parents[2] / "recipes"
    files = [path for path in sorted(folder.glob("*.yaml")) if "." not in path.stem]
    assert files
    for path in files:
        read_recipe(path, {})
