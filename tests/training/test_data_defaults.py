"""What a recipe leaves open is settled by the data, told, recorded, and kept by a run that is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from maskrcnn.config import preset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training import data_defaults, initialisation
from maskrcnn.training.data_defaults import asked, settle, settle_as_before
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.state import read_state
from maskrcnn.training.trainer import TrainingResult
from maskrcnn.weights.checkpoint import save_checkpoint
from tests.small_learner import interrupt_at

Train = Callable[..., tuple[TrainingResult, Any]]
Build = Callable[..., tuple[PreparedRun, Any]]
CPU = torch.device("cpu")


@pytest.fixture
def crowded(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of which an image is said to have 130 objects."""
    monkeypatch.setattr(data_defaults, "_object_counts", lambda dataset: torch.tensor([130, 20, 7]).numpy())
    return shapes


def test_dense_data_are_not_capped_and_that_is_told(crowded: Path) -> None:
    settled = settle(Recipe(init="none"), open_dataset(crowded, "train"), CPU)
    assert settled.recipe.model == {"max_detections": 160}  # a fifth more than 130, in tens
    (line,) = settled.lines
    assert line.startswith("max_detections 160: at most 130 objects an image")
    assert "100 are too few" in line


def test_what_the_recipe_gives_is_kept(crowded: Path) -> None:
    recipe = Recipe(init="none", model={"max_detections": 50})
    settled = settle(recipe, open_dataset(crowded, "train"), CPU)
    assert settled.recipe.model == {"max_detections": 50}
    assert settled.lines == []


def test_objects_are_counted_without_drawing_them(shapes: Path) -> None:
    data = open_dataset(shapes, "train")
    expected = [int((~data.objects(index).crowd).sum()) for index in range(len(data))]
    assert data_defaults._object_counts(data).tolist() == expected


def test_sparse_data_change_nothing(shapes: Path) -> None:
    recipe = Recipe(init="none")
    settled = settle(recipe, open_dataset(shapes, "train"), CPU)
    assert (settled.recipe, settled.lines) == (recipe, [])


def test_only_what_still_stands_as_it_was_asked_takes_the_saved_value() -> None:
    given = Recipe(model={"fpn_channels": 32})
    settled = given.model_copy(update={"init": "people", "model": {"fpn_channels": 32, "max_detections": 160}})
    about = {"recipe": settled.model_dump(mode="json"), "asked": asked(given, settled)}
    assert about["asked"] == {"init": "auto", "model": {"fpn_channels": 32}}
    assert settle_as_before(given, about) == settled
    assert settle_as_before(given.model_copy(update={"init": "nuclei"}), about).init == "nuclei"
    old = {"recipe": {**Recipe(init="none").model_dump(mode="json"), "init": None}}
    assert settle_as_before(Recipe(), old).init == "none"


def test_a_run_that_was_settled_is_resumed_to_the_bit(
    crowded: Path, tmp_path: Path, tiny: dict[str, Any], train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is at hand by then: the choice is not made again."""
    model = {name: value for name, value in tiny.items() if name != "max_detections"}
    donor = MaskRCNN(preset("lite").replace(**model), ["other"])
    save_checkpoint(donor, tmp_path / "donor.safetensors")
    monkeypatch.setattr(initialisation, "models_at_hand", lambda: [str(tmp_path / "donor.safetensors")])
    settings: dict[str, Any] = {"epochs": 3, "model": model}
    whole, _ = train(crowded, tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(2, patch)
        train(crowded, tmp_path / "run", **settings)
    (tmp_path / "donor.safetensors").unlink()
    monkeypatch.setattr(initialisation, "models_at_hand", lambda: ["people"])
    monkeypatch.setattr(data_defaults, "_object_counts", lambda dataset: pytest.fail("settled again"))
    resumed, _ = train(crowded, tmp_path / "run", resume=True, **settings)
    assert resumed.steps == whole.steps
    one, two = (load_file(run.folder / "last.safetensors") for run in (resumed, whole))
    assert all(torch.equal(one[key], two[key]) for key in two)


def test_a_resumed_run_keeps_its_precision(
    shapes: Path, tmp_path: Path, train: Train, prepared: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the machine measures otherwise by then."""
    measured = ["bf16", "fp32"]
    monkeypatch.setattr(
        "maskrcnn.training.preparation.pick_precision",
        lambda name, device, training: measured[0] if name == "auto" else name,
    )
    with monkeypatch.context() as patch:
        interrupt_at(1, patch)
        train(shapes, tmp_path / "run", epochs=3, precision="auto")
    assert read_state(tmp_path / "run", tensors=False).about["precision"] == "bf16"
    del measured[0]
    assert prepared(shapes, tmp_path / "run", resume=True, epochs=3, precision="auto")[0].precision == "bf16"
    assert prepared(shapes, tmp_path / "other", epochs=3, precision="auto")[0].precision == "fp32"
