"""Reports of steps with a number that is not finite, or that ran out of memory, with the data to reproduce them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.losses import Losses
from maskrcnn.output.atomic_file import make_folder, write_text
from maskrcnn.text import listed, plural
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.run_folder import STATE, resume_line
from maskrcnn.training.samples.loader import LoadedBatch
from maskrcnn.weights.safetensors_file import write_tensors

SHOWN = 4


class StepRecord(NamedTuple):
    """One step whose numbers the host has not read yet, with all that is needed to report it."""

    number: int
    seconds: float  # of the run, at the end of the step
    rate: float
    loaded: list[LoadedBatch]  # its batches, on the host
    losses: Tensor  # float [5], over all batches and processes
    own: Tensor  # float [batches, 5], of each batch here
    norm: Tensor  # float [], of the gradient

    def numbers(self) -> Tensor:
        """Losses, norm and own losses in one row."""
        return torch.cat((self.losses, self.norm[None].float(), self.own.flatten()))


def bad_numbers(row: Sequence[float], scaled: bool) -> list[str]:
    """Names of the losses in a `StepRecord.numbers` that are not finite, or else of the gradient.

    Args:
        scaled: ignore the gradient: fp16 finds its loss scale by gradients that are not finite.
    """
    bad = [f"loss {name}" for name, value in zip(Losses._fields, row, strict=False) if not math.isfinite(value)]
    return bad or ([] if scaled or math.isfinite(row[len(Losses._fields)]) else ["gradient's norm"])


def report_bad_step(
    folder: Path, step: StepRecord, row: Sequence[float], bad: Sequence[str], dataset: Dataset, process: int
) -> MaskRCNNError:
    """Save the batches of a bad step in RUN/nan-step-N, numbers as JSON and tensors as safetensors; returns the error.

    The batches whose own losses are not finite are saved, or all of them if only the gradient is not finite.

    Args:
        row, bad: the step's `StepRecord.numbers`, and the `bad_numbers` among them.
    """
    place = folder / f"nan-step-{step.number}"
    make_folder(place)
    count = len(Losses._fields)
    only_gradient = all(map(math.isfinite, row[:count]))
    for number, loaded in enumerate(step.loaded):
        losses = row[(number + 1) * count + 1 : (number + 2) * count + 1]
        if all(map(math.isfinite, losses)) and not only_gradient:
            continue
        name = f"process-{process}-batch-{number}"
        report = {
            "step": step.number,
            "learning_rate": step.rate,
            "gradient_norm": row[count],
            "losses_of_the_step": dict(zip(Losses._fields, row, strict=False)),
            "losses_of_this_batch": dict(zip(Losses._fields, losses, strict=True)),
            "images": _describe_images(loaded, dataset),
        }
        write_text(place / f"{name}.json", json.dumps(report, indent=1))
        tensors = {field: part.contiguous() for field, part in loaded.batch._asdict().items()}
        write_tensors(place / f"{name}.safetensors", tensors)
    names = [dataset.records[index].path.name for loaded in step.loaded for index in loaded.images]
    return MaskRCNNError(
        f"the {', the '.join(bad)} is not a finite number at step {step.number}; its images ({listed(names, SHOWN)}) "
        f"and their boxes and losses are in {place}",
        fix=f"lower the learning rate (now {step.rate:g}), train in fp32, or leave such steps out: skip_bad_steps=10",
    )


def _describe_images(loaded: LoadedBatch, dataset: Dataset) -> list[dict[str, Any]]:
    """Each image of a batch: its file, its size there, and its objects' labels, boxes and box sizes (width, height)."""
    batch, descriptions = loaded.batch, []
    for row, index in enumerate(loaded.images):
        valid = batch.valid[row]
        boxes = batch.boxes[row][valid]
        description = {
            "file": str(dataset.records[index].path),
            "id": dataset.records[index].id,
            "height_width": batch.sizes[row].tolist(),
            "labels": [dataset.names[label] for label in batch.labels[row][valid].tolist()],
            "boxes": boxes.tolist(),
            "box_sizes": (boxes[:, 2:] - boxes[:, :2]).tolist(),
            "without_mask": int((batch.patch_sizes[row][valid] == 0).any(-1).sum()),
            "regions_to_ignore": int((batch.crowd[row, :, 2:] > batch.crowd[row, :, :2]).all(-1).sum()),
        }
        descriptions.append(description)
    return descriptions


def out_of_memory(
    number: int, loaded: Sequence[LoadedBatch], dataset: Dataset, recipe: Recipe, folder: Path
) -> MaskRCNNError:
    """The error that ends a run for lack of memory: the images of the step, most objects first, and what to lower."""
    batch, indices, *_ = max(loaded, key=lambda part: part.batch.boxes.shape[1])
    counts = batch.valid.sum(1).tolist()
    images = sorted(zip(indices, batch.sizes.tolist(), counts, strict=True), key=lambda image: -image[2])
    lines = [
        f"{dataset.records[index].path.name} ({height} x {width} pixels, {plural(count, 'object')})"
        for index, (height, width), count in images
    ]
    fix = f"lower canvas, now {recipe.canvas}, or train in bf16"
    if len(images) > 1:
        half = len(images) // 2
        same = f"accumulate={math.ceil(recipe.accumulate * len(images) / half)} for as many images a step"
        fix = f"lower batch_size to {half}, with {same}; or lower canvas, now {recipe.canvas}"
    kept = ""
    if (folder / STATE).is_file():
        kept = f"; the state is saved, go on with {resume_line(folder)} and less memory"
    return MaskRCNNError(f"out of memory at step {number} with {listed(lines, SHOWN)}{kept}", fix=fix)
