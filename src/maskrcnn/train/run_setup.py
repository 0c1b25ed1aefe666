"""What a run is built of before its first step: devices and precision, the network and its classes, the stream."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

from maskrcnn.config import Config, from_dict, preset
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.channel_statistics import input_settings
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference.predictor import PRECISIONS, pick_device, pick_precision
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.train.learner import Learner
from maskrcnn.train.parallel import group_settings
from maskrcnn.train.recipe import Recipe
from maskrcnn.train.samples.augment import Augmentation
from maskrcnn.train.samples.loader import LoadedBatch, training_loader
from maskrcnn.train.state import SavedRun
from maskrcnn.weights.load import load_backbone, load_checkpoint, read_any_checkpoint
from maskrcnn.weights.load_report import LoadReport

WORKERS_A_CORE = 8


def build_accelerator(recipe: Recipe, device: str, folder: Path) -> tuple[Accelerator, str]:
    """The devices of all processes, and the precision "auto" stands for."""
    picked = pick_device(device)
    if picked.type == "cuda" and picked.index is not None:
        torch.cuda.set_device(picked)
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if _has_fast_bf16(picked) else "fp32"
    # accelerate keeps one state a process; without this a second run could not choose its precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        mixed_precision={"fp32": "no"}.get(precision, precision),
        cpu=picked.type == "cpu",
        gradient_accumulation_steps=recipe.accumulate,
        log_with=list(recipe.track) or None,
        project_dir=str(folder),
        kwargs_handlers=[group_settings()],
    )
    set_seed(recipe.seed)
    return accelerator, precision


def build_model(
    recipe: Recipe, names: tuple[str, ...], saved: SavedRun | None = None, dataset: Dataset | None = None
) -> tuple[MaskRCNN, LoadReport | None]:
    """The recipe's network for these classes and this data's channels: a saved run's, or filled from ``init`` or
    ``backbone_weights``."""
    if saved is not None:
        return MaskRCNN(from_dict(saved.about["config"]), names), None
    model, report = MaskRCNN(model_config(recipe, dataset), names), None
    if recipe.init:
        checkpoint, notes = read_any_checkpoint(recipe.init)
        report = load_checkpoint(model, checkpoint, recipe.init)
        report.notes += notes
    elif recipe.backbone_weights:
        report = load_backbone(model, recipe.backbone_weights)
    return model, report


def model_config(recipe: Recipe, dataset: Dataset | None = None) -> Config:
    """The architecture of a recipe: its preset's or that of ``init``, with the recipe's changes, for images such as the
    data has."""
    config = read_any_checkpoint(recipe.init)[0].config if recipe.init else preset(recipe.preset)
    config = config.replace(**recipe.model)
    if dataset is None or "mean" in recipe.model.get("preprocess", {}):
        return config
    return config.replace(preprocess=input_settings(dataset, config.preprocess, recipe.channels))


def class_names(recipe: Recipe, dataset: Dataset) -> tuple[str, ...]:
    """The recipe's names for the data's classes, or the data's own. Raises `MaskRCNNError` if their number differs."""
    names = recipe.names or dataset.names
    if len(names) != len(dataset.names):
        raise MaskRCNNError(
            f"names: expected {len(dataset.names)} for the classes {dataset.names}, found {list(names)}"
        )
    return tuple(names)


def build_loader(recipe: Recipe, dataset: Dataset, learner: Learner, start: int) -> DataLoader[LoadedBatch]:
    """This process's share of the training stream.

    Args:
        recipe: with its batch size as a number.
        start: samples that all processes together have taken before.
    """
    assert isinstance(recipe.batch_size, int)
    augmentation = Augmentation(
        recipe.flip,
        recipe.turns,
        recipe.scale_jitter,
        recipe.colour,
        recipe.stains,
        recipe.object_crops,
        recipe.copy_paste,
    )
    return training_loader(
        dataset,
        learner.model.config.preprocess,
        augmentation,
        None if recipe.canvas == "own" else recipe.canvas,
        recipe.batch_size,
        _readers(recipe),
        recipe.seed,
        pin_memory=learner.accelerator.device.type == "cuda",
        start=start,
        rank=learner.processes.rank,
        world=learner.processes.count,
    )


def _readers(recipe: Recipe) -> int:
    """Worker processes that read images: as the recipe says, or this process's share of the cores but one.

    Each takes memory, and more than a few a core make nothing faster.
    """
    cores = os.cpu_count() or 2
    if recipe.workers is not None:
        return min(recipe.workers, WORKERS_A_CORE * cores)
    return max(cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1, 1)


def _has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32 there."""
    if device.type == "cuda":
        return pick_precision("auto", device) == PRECISIONS["bf16"]
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
