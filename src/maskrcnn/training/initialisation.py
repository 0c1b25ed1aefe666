"""The weights that a run begins with, and the choice that ``init: auto`` makes.

Of what is at hand the first kind is taken that there is, nothing is fetched:

1. models that fill backbone, pyramid and RPN of the network asked for. If there are several, each is tried on some
   training images, as it is, and the one with the best `transfer_score` is taken;
2. ImageNet weights of the backbone;
3. models that fill the backbone only;
4. random weights.

What cannot be read is left out, with a line: it may be the rest of a download that was cut off.

A model brings its own settings, as with ``init: NAME``: anchors and input size are what its weights were trained for.
The recipe's changes apply to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from maskrcnn.config import Config, preset
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.channel_statistics import input_settings
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.text import listed, plural
from maskrcnn.training.recipe import AUTO, SCRATCH, Recipe
from maskrcnn.training.transfer_score import IMAGES, transfer_score
from maskrcnn.weights.any_checkpoint import read_any_checkpoint
from maskrcnn.weights.backbone_weights import load_backbone
from maskrcnn.weights.catalog import CATALOG
from maskrcnn.weights.checkpoint import Checkpoint
from maskrcnn.weights.load import load_checkpoint
from maskrcnn.weights.load_report import LoadReport
from maskrcnn.weights.starting_weights import backbones_at_hand, models_at_hand, models_to_fetch

_SAME = ("backbone", "backbone_norm", "backbone_groups")
_TRIED = ("backbone", "fpn", "rpn")  # what a model has to fill to be tried


class InitChoice(NamedTuple):
    """What ``init: auto`` chose, as a recipe names it, and why; and a line for each file that could not be read."""

    init: str
    backbone_weights: str | None
    why: str
    left_out: tuple[str, ...] = ()


class _Candidate(NamedTuple):
    name: str
    model: MaskRCNN
    missing: set[str]  # parts of the network that the checkpoint does not fill


def build_model(recipe: Recipe, names: tuple[str, ...], dataset: Dataset) -> tuple[MaskRCNN, LoadReport | None]:
    """The recipe's network with the weights of ``init`` or ``backbone_weights``; what was loaded."""
    if recipe.init == SCRATCH:
        model = MaskRCNN(model_config(preset(recipe.preset), recipe, dataset), names)
        return model, load_backbone(model, recipe.backbone_weights) if recipe.backbone_weights else None
    checkpoint, notes = read_any_checkpoint(recipe.init)
    model = MaskRCNN(model_config(checkpoint.config, recipe, dataset), names)
    report = load_checkpoint(model, checkpoint, recipe.init)
    report.notes += notes
    return model, report


def model_config(config: Config, recipe: Recipe, dataset: Dataset) -> Config:
    """A configuration with the recipe's changes, and input settings for the channels of the data."""
    config = config.replace(**recipe.model)
    if "mean" in recipe.model.get("preprocess", {}):
        return config
    return config.replace(preprocess=input_settings(dataset, config.preprocess, recipe.channels))


def choose_init(
    recipe: Recipe, dataset: Dataset, device: torch.device, say: Callable[[str], object] = lambda line: None
) -> InitChoice:
    """What ``init: auto`` stands for on this data and machine. torch's generators stay as they are.

    Args:
        say: takes a line before models are tried, which takes seconds.
    """
    if recipe.init != AUTO:
        return InitChoice(recipe.init, recipe.backbone_weights, "")
    if recipe.backbone_weights:
        return InitChoice(SCRATCH, recipe.backbone_weights, f"backbone weights {recipe.backbone_weights}, as given")
    wanted = preset(recipe.preset).replace(**recipe.model)
    left_out: list[str] = []
    with torch.random.fork_rng(devices=[]):
        found = _choose(wanted, recipe, dataset, device, left_out, say)
    return found._replace(left_out=tuple(left_out))


def _choose(
    wanted: Config,
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    left_out: list[str],
    say: Callable[[str], object],
) -> InitChoice:
    """The choice by the rule above; a line for each file that cannot be read goes to ``left_out``."""
    candidates = _candidates(wanted, recipe, dataset, left_out)
    whole = [candidate for candidate in candidates if not candidate.missing.intersection(_TRIED)]
    if whole:
        return _best_of(whole, dataset, device, say)
    fetch = "".join(f"; init {name} would fetch a trained model" for name in models_to_fetch(wanted)[:1])
    if (weights := _imagenet_weights(wanted, recipe, dataset, left_out)) is not None:
        return InitChoice(SCRATCH, weights, f"ImageNet weights of the backbone ({weights}){fetch}")
    if candidates:
        name = candidates[0].name
        return InitChoice(name, None, f"{name}, whose backbone fits{fetch}")
    why = f"random weights: none at hand fit the backbone {wanted.backbone}"
    return InitChoice(SCRATCH, None, f"{why}{fetch or '; backbone_weights takes a file with ImageNet weights of it'}")


def _candidates(wanted: Config, recipe: Recipe, dataset: Dataset, left_out: list[str]) -> list[_Candidate]:
    """The models at hand whose backbone is the one asked for; files that are known to be of another are not read."""
    found = []
    for name in models_at_hand():
        if name in CATALOG and CATALOG[name].backbone != wanted.backbone:
            continue
        try:
            checkpoint, _ = read_any_checkpoint(name)
        except MaskRCNNError as error:
            left_out.append(_not_used(name, error))
            continue
        if (candidate := _candidate(name, checkpoint, wanted, recipe, dataset)) is not None:
            found.append(candidate)
    return found


def _candidate(
    name: str, checkpoint: Checkpoint, wanted: Config, recipe: Recipe, dataset: Dataset
) -> _Candidate | None:
    """A model at hand with the changes of the recipe; None if its backbone is not the one asked for.

    Its input has the preset's size, so that all candidates see the images alike and take the same time.
    """
    if any(getattr(checkpoint.config, setting) != getattr(wanted, setting) for setting in _SAME):
        return None
    sizes = {"short": wanted.preprocess.short, "long": wanted.preprocess.long}
    config = model_config(checkpoint.config, recipe, dataset).replace(preprocess=sizes)
    model = MaskRCNN(config, checkpoint.names)
    report = load_checkpoint(model, checkpoint, name)
    missing = {key.partition(".")[0] for key, _ in report.reinitialised}
    return None if "backbone" in missing else _Candidate(name, model.eval(), missing)


def _imagenet_weights(wanted: Config, recipe: Recipe, dataset: Dataset, left_out: list[str]) -> str | None:
    """The first ImageNet weights at hand that the backbone can take, as `load_backbone` takes them; None without."""
    for weights in backbones_at_hand(wanted.backbone):
        try:
            load_backbone(MaskRCNN(model_config(wanted, recipe, dataset), dataset.names), weights)
        except MaskRCNNError as error:
            left_out.append(_not_used(weights, error))
        else:
            return weights
    return None


def _not_used(name: str, error: MaskRCNNError) -> str:
    return f"{name} at hand is not used: {error}"


def _best_of(
    candidates: list[_Candidate], dataset: Dataset, device: torch.device, say: Callable[[str], object]
) -> InitChoice:
    """The candidate with the best score; the first of equals."""
    first, *others = candidates
    if not others:
        return InitChoice(first.name, None, f"{first.name}, the only model at hand for this network")
    images = min(IMAGES, len(dataset))
    say(f"trying {listed([item.name for item in candidates], 8)} on {plural(images, 'training image')}")
    scores = {item.name: transfer_score(item.model.to(device), dataset) for item in candidates}
    best = max(scores, key=lambda name: scores[name].value)
    rest = "; ".join(f"{name}: {score}" for name, score in scores.items() if name != best)
    return InitChoice(best, None, f"{best}, which suits {images} training images best ({scores[best]}; {rest})")
