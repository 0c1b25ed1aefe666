"""What ``init: auto`` chooses: by the network, by what is at hand, and among several by the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from maskrcnn.config import preset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training import initialisation
from maskrcnn.training.data_defaults import settle
from maskrcnn.training.initialisation import InitChoice, choose_init
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.recipe import Recipe, read_recipe
from maskrcnn.training.transfer_score import TransferScore
from maskrcnn.weights.any_checkpoint import read_any_checkpoint
from maskrcnn.weights.catalog import CATALOG
from maskrcnn.weights.checkpoint import save_checkpoint

Build = Callable[..., tuple[PreparedRun, Any]]
CPU = torch.device("cpu")


def choice(recipe: Recipe, data: Path) -> InitChoice:
    return choose_init(recipe, open_dataset(data, "train"), CPU)


def at_hand(monkeypatch: pytest.MonkeyPatch, *models: str, backbone: str | None = None) -> None:
    monkeypatch.setattr(initialisation, "models_at_hand", lambda: list(models))
    monkeypatch.setattr(initialisation, "backbones_at_hand", lambda name: [backbone] if backbone else [])
    if backbone:
        monkeypatch.setattr(initialisation, "load_backbone", lambda model, source: None)


def forbid_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> TransferScore:
        raise AssertionError("no score is needed")

    monkeypatch.setattr(initialisation, "transfer_score", refuse)


def test_of_several_models_the_best_score_wins_and_both_are_told(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([TransferScore(0.5, 0.9), TransferScore(0.95, 0.6)])
    monkeypatch.setattr(initialisation, "transfer_score", lambda model, dataset: next(given))
    at_hand(monkeypatch, "nuclei", "people")
    said: list[str] = []
    found = choose_init(Recipe(), open_dataset(shapes, "train"), CPU, said.append)
    assert said == ["trying nuclei, people on 4 training images"]
    assert (found.init, found.backbone_weights) == ("people", None)
    scores = "recall 0.95, mask IoU 0.60; nuclei: recall 0.50, mask IoU 0.90"
    images = len(open_dataset(shapes, "train"))
    assert found.why == f"people, which suits {images} training images best ({scores})"


def test_a_single_model_is_not_scored(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_scores(monkeypatch)
    at_hand(monkeypatch, "people")
    assert choice(Recipe(), shapes) == InitChoice("people", None, "people, the only model at hand for this network")


def test_the_choice_is_the_same_each_time_and_draws_nothing(shapes: Path) -> None:
    """Real scores of the bundled models; a run from random weights has the weights that its seed gives it."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    recipe = Recipe(model={"preprocess": {"short": [128, 128], "long": 128}})
    first, second = choice(recipe, shapes), choice(recipe, shapes)
    assert first == second
    assert first.init in ("nuclei", "people")
    assert torch.equal(torch.get_rng_state(), before)


def test_models_of_another_network_are_neither_taken_nor_scored(
    shapes: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_scores(monkeypatch)
    found = choice(Recipe(model=tiny), shapes)
    assert (found.init, found.backbone_weights) == ("none", None)
    assert "random weights" in found.why
    assert "backbone_weights takes a file" in found.why


def test_without_a_model_imagenet_weights_are_taken_then_random_ones_and_what_would_fetch_is_told(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_scores(monkeypatch)
    at_hand(monkeypatch, "nuclei", "people", backbone="resnet.pth")
    recipe = Recipe(preset="resnet50_fpn_v2")
    found = choice(recipe, shapes)
    assert (found.init, found.backbone_weights) == ("none", "resnet.pth")
    assert "; init coco-v2 would fetch" in found.why
    at_hand(monkeypatch, "nuclei", "people")
    found = choice(recipe, shapes)
    assert (found.init, found.backbone_weights) == ("none", None)
    assert "; init coco-v2 would fetch" in found.why
    assert "; init coco would fetch" in choice(Recipe(preset="resnet50_fpn"), shapes).why


def test_a_model_that_fills_only_the_backbone_comes_after_imagenet_weights(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_scores(monkeypatch)
    recipe = Recipe(model={"fpn_channels": 64})
    at_hand(monkeypatch, "people", backbone="lite.pth")
    assert choice(recipe, shapes)[:2] == ("none", "lite.pth")
    at_hand(monkeypatch, "people")
    assert choice(recipe, shapes)[:2] == ("people", None)


def test_damaged_downloads_are_left_out_with_a_line(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of another backbone are not even read."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    downloads = tmp_path / "cache" / "hub" / "checkpoints"
    downloads.mkdir(parents=True)
    model, backbone = downloads / CATALOG["coco"].file, downloads / "resnet50-0676ba61.pth"
    for file in (model, backbone):
        file.write_bytes(b"PK\x03\x04 the beginning of an archive")
    monkeypatch.setattr(initialisation, "transfer_score", lambda model, dataset: TransferScore(0.5, 0.5))
    found = choice(Recipe(), shapes)
    assert (found.init, found.left_out) == ("nuclei", ())
    recipe = Recipe(preset="resnet50_fpn", precision="fp32")
    found = choice(recipe, shapes)
    assert (found.init, found.backbone_weights) == ("none", None)
    of_model, of_backbone = found.left_out
    assert of_model.startswith(f"coco at hand is not used: {model}: ")
    assert of_backbone.startswith(f"{backbone} at hand is not used: ")
    monkeypatch.setattr("maskrcnn.training.data_defaults.choose_init", lambda *arguments: found)
    assert settle(recipe, open_dataset(shapes, "train"), CPU).lines == [f"init auto: {found.why}", *found.left_out]


def test_what_is_given_wins(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_scores(monkeypatch)
    assert choice(Recipe(init="none"), shapes) == InitChoice("none", None, "")
    assert choice(Recipe(init="nuclei"), shapes) == InitChoice("nuclei", None, "")
    assert choice(Recipe(backbone_weights="w.pth"), shapes)[:2] == ("none", "w.pth")


def test_a_recipe_of_old_without_init_means_random_weights(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("init: null\n")
    assert read_recipe(tmp_path / "recipe.yaml", {}).init == "none"
    assert Recipe().init == "auto"
    with pytest.raises(MaskRCNNError, match="init: expected a model, 'auto' or 'none', found None"):
        read_recipe(None, {"init": None})
    with pytest.raises(ValidationError):
        Recipe(init=None)  # type: ignore[arg-type]


def test_the_choice_is_logged_recorded_and_loaded(
    shapes: Path, tmp_path: Path, tiny: dict[str, Any], prepared: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in of the tiny network that is at hand, the run begins with its weights."""
    donor = MaskRCNN(preset("lite").replace(**tiny), ["disc", "triangle"])
    save_checkpoint(donor, tmp_path / "donor.safetensors")
    at_hand(monkeypatch, str(tmp_path / "donor.safetensors"))
    run, display = prepared(shapes, tmp_path / "run")
    assert not any("trying" in line for line in display.lines)
    assert run.recipe.init == run.about["recipe"]["init"] == str(tmp_path / "donor.safetensors")
    line = f"init auto: {run.recipe.init}, the only model at hand for this network"
    assert line in display.lines
    assert run.about["settled"] == [line]
    assert line in (run.folder / "log.txt").read_text()
    assert run.about["asked"] == {"init": "auto", "freeze": "auto", "lr": None}
    started = run.learner.model.state_dict()
    assert all(torch.equal(value, started[name]) for name, value in donor.state_dict().items())


def test_that_models_are_tried_is_shown_before(
    shapes: Path, tmp_path: Path, tiny: dict[str, Any], prepared: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        donor = MaskRCNN(preset("lite").replace(**tiny), ["disc", "triangle"])
        save_checkpoint(donor, tmp_path / f"{name}.safetensors")
    monkeypatch.setattr(initialisation, "transfer_score", lambda model, dataset: TransferScore(0.5, 0.5))
    at_hand(monkeypatch, *(str(tmp_path / f"{name}.safetensors") for name in ("one", "two")))
    _, display = prepared(shapes, tmp_path / "run")
    first, *rest = display.lines
    assert first.startswith(f"trying {tmp_path / 'one.safetensors'}, ")
    assert any(line.startswith("init auto: ") for line in rest)


def test_a_named_model_that_is_not_there_is_an_error(shapes: Path, tmp_path: Path, prepared: Build) -> None:
    with pytest.raises(MaskRCNNError, match="no such model file"):
        prepared(shapes, tmp_path / "run", init="nowhere.safetensors")


def test_the_settings_come_from_the_chosen_model_with_the_recipes_changes(
    shapes: Path, tmp_path: Path, prepared: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_scores(monkeypatch)
    at_hand(monkeypatch, "nuclei")
    run, _ = prepared(shapes, tmp_path / "run", model={"nms_threshold": 0.4}, batch_size=1)
    own = read_any_checkpoint("nuclei")[0].config
    assert run.learner.model.config == own.replace(nms_threshold=0.4)
