"""What a recipe leaves open, settled by the data and the machine: the weights that a run begins with, how many objects
it may find, what is frozen, the learning rate, and its precision.

What a recipe gives is kept. What is settled here becomes part of the run's recipe: it is recorded, and kept when the
run is resumed. So the recipe that a run records, with its seed, reproduces the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from maskrcnn.config import Config, preset
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.suggestions import detection_limits
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.device import training_precision
from maskrcnn.training.backbone_stages import NORMS
from maskrcnn.training.initialisation import choose_init
from maskrcnn.training.recipe import AUTO, SCRATCH, Recipe, as_recorded
from maskrcnn.training.resume_check import precision_to_keep
from maskrcnn.weights.any_checkpoint import read_any_checkpoint

# From a trained model of the preset `lite`, whose norms stay, twice the usual rate: measured on 10 to 50 images.
LITE_RATE = 1e-3
COUNTED = 200  # images whose labels are read to count objects, where they are not in memory


class Settled(NamedTuple):
    """A recipe without open settings, and a line for each that was settled."""

    recipe: Recipe
    lines: list[str]


def settle(
    recipe: Recipe, dataset: Dataset, device: torch.device, say: Callable[[str], object] = lambda line: None
) -> Settled:
    """The recipe for this data and device. Raises `MaskRCNNError` if the weights that it names cannot be read.

    Args:
        say: takes a line before what takes seconds.
    """
    choice = choose_init(recipe, dataset, device, say)
    lines = [f"init auto: {choice.why}", *choice.left_out] if recipe.init == AUTO else []
    recipe = recipe.model_copy(update={"init": choice.init, "backbone_weights": choice.backbone_weights})
    config = preset(recipe.preset) if recipe.init == SCRATCH else read_any_checkpoint(recipe.init)[0].config
    limits, line = _limits(recipe, dataset, config.replace(**recipe.model))
    if limits:
        lines.append(line)
        recipe = recipe.model_copy(update={"model": {**recipe.model, **limits}})
    if recipe.freeze == AUTO:
        # The statistics of a few padded cuts are not those of whole images, by which a trained network is used.
        pretrained = recipe.init != SCRATCH or recipe.backbone_weights is not None
        recipe = recipe.model_copy(update={"freeze": (NORMS,) if pretrained else ()})
    if recipe.lr is None and recipe.optimizer == "adamw" and recipe.init != SCRATCH and config.preset == "lite":
        recipe = recipe.model_copy(update={"lr": LITE_RATE})
    if recipe.precision == AUTO:
        precision, why = training_precision(device)
        lines.append(f"precision auto: {precision}, as {why}")
        recipe = recipe.model_copy(update={"precision": precision})
    return Settled(recipe, lines)


def asked(recipe: Recipe, settled: Recipe) -> dict[str, Any]:
    """What the recipe has, as JSON-ready data, for the settings that were settled."""
    before, after = (json.loads(each.model_dump_json()) for each in (recipe, settled))
    return {name: before[name] for name in before if before[name] != after[name]}


def settle_as_before(recipe: Recipe, about: dict[str, Any], device: torch.device) -> Recipe:
    """The recipe of a run to resume, with the settled values of the saved run where it asks for the same.

    Args:
        about: `PreparedRun.about` of the saved run.
    """
    given, saved = json.loads(recipe.model_dump_json()), as_recorded(about["recipe"])
    before = {"init": AUTO, "freeze": AUTO, **about.get("asked", {})}
    kept = {name: saved[name] for name, value in before.items() if name in saved and given[name] == value}
    if recipe.precision in (AUTO, saved.get("precision")):
        kept["precision"] = precision_to_keep(about, device.type) or training_precision(device)[0]
    return recipe.model_copy(update=Recipe(**kept).model_dump(include=set(kept)))


def _limits(recipe: Recipe, dataset: Dataset, config: Config) -> tuple[dict[str, Any], str]:
    """Changes of the model for data with more objects an image than it returns, and the line about them."""
    counts = _object_counts(dataset)
    if "max_detections" in recipe.model or not len(counts):
        return {}, ""
    wanted, *rest = detection_limits(counts, config)
    if not wanted.differs:
        return {}, ""
    changes = {item.setting: item.suggested for item in (wanted, *rest) if item.setting not in recipe.model}
    where = f"; counted in {len(counts):,} of {len(dataset):,} images" if len(counts) < len(dataset) else ""
    return changes, f"max_detections {wanted.suggested}: {wanted.evidence}{where}"


def _object_counts(dataset: Dataset) -> np.ndarray:
    """Objects of each image, crowds left out; int64 [N]. Of labels that are not in memory, 200 spread over the data."""
    count = len(dataset) if dataset.stored else min(COUNTED, len(dataset))
    counts = []
    for index in np.unique(np.linspace(0, len(dataset) - 1, count).astype(int)).tolist():
        try:
            annotations, _ = dataset.annotations(index)
        except MaskRCNNError:
            continue  # reported when the image is used
        counts.append(sum(not annotation.crowd for annotation in annotations))
    return np.array(counts, dtype=np.int64)
