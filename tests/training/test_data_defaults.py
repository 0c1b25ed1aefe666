"""What a recipe leaves open is settled by the data, told, recorded, and kept by a run that is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from maskrcnn.annotations.labels import StoredAnnotations
from maskrcnn.config import preset
from maskrcnn.datasets.combine import combined
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training import data_defaults, initialisation
from maskrcnn.training.data_defaults import asked, settle, settle_as_before
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.recipe import Recipe, read_recipe
from maskrcnn.training.resume_check import check_resumable
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
    settled = settle(Recipe(init="none", precision="fp32"), open_dataset(crowded, "train"), CPU)
    assert settled.recipe.model == {"max_detections": 160}  # a fifth more than 130, in tens
    (line,) = settled.lines
    assert line.startswith("max_detections 160: at most 130 objects an image")
    assert "100 are too few" in line


def test_what_the_recipe_gives_is_kept(crowded: Path) -> None:
    recipe = Recipe(init="none", precision="fp32", model={"max_detections": 50})
    settled = settle(recipe, open_dataset(crowded, "train"), CPU)
    assert settled.recipe.model == {"max_detections": 50}
    assert settled.lines == []


@pytest.mark.parametrize(
    ("changes", "frozen"),
    [
        ({"init": "nuclei"}, ("norms",)),
        ({"init": "none", "backbone_weights": "package:some"}, ("norms",)),
        ({"init": "none"}, ()),
        ({"init": "nuclei", "freeze": ()}, ()),
        ({"init": "none", "freeze": (0,)}, (0,)),
    ],
)
def test_norms_of_pretrained_weights_are_frozen(shapes: Path, changes: dict[str, Any], frozen: tuple[Any, ...]) -> None:
    recipe = Recipe(precision="fp32", **changes)
    settled = settle(recipe, open_dataset(shapes, "train"), CPU)
    assert settled.recipe.freeze == frozen
    assert asked(recipe, settled.recipe).get("freeze", frozen) == (frozen if "freeze" in changes else "auto")
    about = {"recipe": settled.recipe.model_dump(mode="json"), "asked": {"freeze": "auto"}, "precision": "fp32"}
    assert (
        settle_as_before(Recipe(precision="fp32", init=changes["init"]), about | {"device": "cpu"}, CPU).freeze
        == frozen
    )


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({"init": "nuclei"}, 1e-3),
        ({"init": "nuclei", "lr": 3e-4}, 3e-4),
        ({"init": "nuclei", "optimizer": "sgd"}, None),
        ({"init": "none"}, None),
        ({"init": "none", "backbone_weights": "package:some"}, None),
    ],
)
def test_a_trained_lite_model_learns_at_twice_the_rate(
    shapes: Path, changes: dict[str, Any], rate: float | None
) -> None:
    recipe = Recipe(precision="fp32", freeze=(), **changes)
    settled = settle(recipe, open_dataset(shapes, "train"), CPU).recipe
    assert settled.lr == rate
    assert settled.learning_rate(8) == pytest.approx(rate or {"adamw": 5e-4, "sgd": 0.01}[recipe.optimizer])
    about = {"recipe": settled.model_dump(mode="json"), "asked": asked(recipe, settled), "precision": "fp32"}
    assert settle_as_before(recipe, about | {"device": "cpu"}, CPU) == settled


def test_a_run_of_an_earlier_version_goes_on_as_it_began() -> None:
    before = Recipe(precision="fp32", init="nuclei", freeze=()).model_dump(mode="json")
    about = {"recipe": before, "precision": "fp32", "device": "cpu"}
    resumed = settle_as_before(Recipe(precision="fp32", init="nuclei"), about, CPU)
    assert (resumed.freeze, resumed.lr) == ((), None)


def test_objects_are_counted_without_drawing_them(shapes: Path) -> None:
    data = open_dataset(shapes, "train")
    expected = [int((~data.objects(index).crowd).sum()) for index in range(len(data))]
    assert data_defaults._object_counts(data).tolist() == expected


def test_all_images_are_counted_where_labels_are_in_memory_and_else_a_sample_which_is_told(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A densest image that the sample would miss raises the limit as well."""
    monkeypatch.setattr(data_defaults, "COUNTED", 2)
    data = open_dataset(shapes, "train")
    few, many = data.annotations(0)[0][:1], data.annotations(0)[0][:1] * 130
    in_memory = Dataset(data.labels._replace(reader=StoredAnnotations([few, many, few, few])))
    in_files = Dataset(data.labels._replace(reader=lambda index, record: ((many, few, few, few)[index], ())))
    recipe = Recipe(init="none", precision="fp32")
    for one, counted in (
        (in_memory, ""),
        (combined([in_memory, in_memory]), ""),
        (in_files, "; counted in 2 of 4 images"),
    ):
        settled = settle(recipe, one, CPU)
        assert settled.recipe.model == {"max_detections": 160}
        (line,) = settled.lines
        assert line.partition("of the images")[2].partition("of the images")[2] == counted


def test_a_limit_that_is_nearly_reached_leaves_no_room_for_denser_images_and_is_raised(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, recipe = open_dataset(shapes, "train"), Recipe(init="none", precision="fp32")
    monkeypatch.setattr(data_defaults, "_object_counts", lambda dataset: torch.tensor([83]).numpy())
    assert settle(recipe, data, CPU) == (recipe.model_copy(update={"freeze": ()}), [])
    monkeypatch.setattr(data_defaults, "_object_counts", lambda dataset: torch.tensor([84]).numpy())
    (line,) = settle(recipe, data, CPU).lines
    assert line.startswith("max_detections 110: at most 84 objects an image")
    assert "100 leave little room for denser ones" in line


def test_sparse_data_change_nothing(shapes: Path) -> None:
    recipe = Recipe(init="none", precision="fp32", freeze=())
    settled = settle(recipe, open_dataset(shapes, "train"), CPU)
    assert (settled.recipe, settled.lines) == (recipe, [])


def test_only_what_still_stands_as_it_was_asked_takes_the_saved_value() -> None:
    given = Recipe(model={"fpn_channels": 32}, precision="fp32")
    settled = given.model_copy(update={"init": "people", "model": {"fpn_channels": 32, "max_detections": 160}})
    about = {"recipe": settled.model_dump(mode="json"), "asked": asked(given, settled)}
    assert about["asked"] == {"init": "auto", "model": {"fpn_channels": 32}}
    assert settle_as_before(given, about, CPU) == settled
    assert settle_as_before(given.model_copy(update={"init": "nuclei"}), about, CPU).init == "nuclei"
    old = {"recipe": {**Recipe(init="none").model_dump(mode="json"), "init": None}}
    assert settle_as_before(Recipe(), old, CPU).init == "none"


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


def test_the_precision_is_settled_recorded_and_kept(
    shapes: Path, tmp_path: Path, train: Train, prepared: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the machine measures otherwise by then: the recipe of a run reproduces it."""
    measured = ["bf16", "fp32"]
    monkeypatch.setattr(data_defaults, "training_precision", lambda device: (measured[0], "it measures so"))
    with monkeypatch.context() as patch:
        interrupt_at(1, patch)
        _, display = train(shapes, tmp_path / "run", epochs=3, precision="auto")
    assert "precision auto: bf16, as it measures so" in display.lines
    assert read_recipe(tmp_path / "run" / "recipe.json", {}).precision == "bf16"
    del measured[0]
    for asked_for in ("auto", "bf16"):  # as asked for at first, and as recorded
        resumed, _ = prepared(shapes, tmp_path / "run", resume=True, epochs=3, precision=asked_for)
        assert (resumed.precision, resumed.about["asked"]["precision"]) == ("bf16", "auto")
    with pytest.raises(MaskRCNNError, match="precision was 'bf16', is 'fp32'"):
        prepared(shapes, tmp_path / "run", resume=True, epochs=3, precision="fp32")
    assert prepared(shapes, tmp_path / "other", epochs=3, precision="auto")[0].precision == "fp32"


@pytest.mark.parametrize(
    ("saved", "kept"),
    [
        ({"recipe": {"precision": "bf16"}, "asked": {"precision": "auto"}, "device": "cuda"}, "fp32"),
        ({"recipe": {"precision": "bf16"}, "asked": {"precision": "auto"}, "device": "cpu"}, "bf16"),
        ({"recipe": {"precision": "bf16"}, "asked": {}, "device": "cuda"}, "bf16"),
        ({"recipe": {"precision": "auto"}, "precision": "bf16", "device": "cpu"}, "bf16"),  # as once saved
        ({"recipe": {"precision": "auto"}}, "fp32"),
    ],
    ids=str,
)
def test_on_another_type_of_device_only_a_precision_that_was_given_is_kept(
    saved: dict[str, Any], kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_defaults, "training_precision", lambda device: ("fp32", ""))
    recorded = Recipe(precision=saved["recipe"]["precision"])
    saved |= {"recipe": recorded.model_dump(mode="json"), "images_a_step": 8, "data": 0}
    settled = settle_as_before(recorded, saved, CPU)
    assert settled.precision == kept
    now = {**saved, "recipe": settled.model_dump(mode="json"), "device": "cpu"}
    check_resumable(tmp_path, saved, now, {"names": [], "images": [], "labels": {}})
