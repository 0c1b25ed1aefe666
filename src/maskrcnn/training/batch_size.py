"""The batch size that fits into memory, measured with more objects than most images have; and a check before a run."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator
from accelerate.utils import get_max_memory
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.batch import Batch
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops.memory import available_memory, free_memory, is_out_of_memory
from maskrcnn.training.distributed import Objective
from maskrcnn.training.learner import Learner
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.run_log import RunLog

OBJECTS, PATCH = 100, 56
CUDA_LIMIT, CUDA_SHARE = 128, 0.85
# Larger batches are no faster on a CPU, and other processes use the same memory.
CPU_LIMIT, CPU_SHARE = 16, 0.5
LEAST = 64  # bytes per pixel of its batch that a training step needs at least; 400 to 2,000 were measured
PASSING = 1.5  # peak memory of a CPU step over what it keeps for the backward pass; 1.1 to 1.4 were measured


def fix_batch_size(
    recipe: Recipe, learner: Learner, data: int, log: RunLog, images_a_step: int | None
) -> tuple[Recipe, int]:
    """The recipe with its batch size as a number, and the images of a step of all processes.

    Args:
        data: images to train on; "auto" takes no more at once.
        images_a_step: of the run to resume, which "auto" keeps; None for a new run.

    Raises:
        MaskRCNNError: there is not enough memory, even without any object.
    """
    folds, images = recipe.accumulate * learner.processes.count, recipe.batch_size
    preprocess = learner.model.config.preprocess
    least = min(preprocess.short) // 2 if recipe.canvas == "own" else recipe.canvas
    count = 1 if images == "auto" else images
    check_batch(count, recipe.accumulate, least, preprocess.channels, learner.accelerator.device)
    if images == "auto" and images_a_step is not None:
        images = max(images_a_step // folds, 1)
    elif images == "auto":
        canvas = preprocess.long if recipe.canvas == "own" else recipe.canvas
        largest, why = largest_batch(learner, 32 * math.ceil(canvas / 32))
        images = min(largest, data)
        log.say(f"batch size {images}: {why}")
    assert isinstance(images, int)
    return recipe.model_copy(update={"batch_size": images}), images * folds


def largest_batch(learner: Learner, canvas: int) -> tuple[int, str]:
    """Images a process can take at once, the same in all processes, and the reason.

    On CUDA, steps of growing size are tried; on a CPU, what one image stores for the backward pass is compared with
    half of the free memory; elsewhere it is 8. Weights, gradients and batch-norm statistics stay as they were.
    """
    objective, device = Objective(learner.model), learner.accelerator.device
    before = [(buffer, buffer.clone()) for buffer in objective.buffers()]
    try:
        if device.type == "cuda":
            images, why = _try_cuda(objective, learner, canvas)
        elif device.type == "cpu":
            images, why = _count_cpu(objective, learner.accelerator, canvas)
        else:
            images, why = 8, f"the memory of {device.type} is unknown"
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
        learner.optimizer.zero_grad()
        free_memory(device)
    return -int(learner.processes.all_max(-images)[0]), why


def check_batch(images: int, accumulate: int, canvas: int, channels: int, device: torch.device) -> None:
    """Refuse steps that need more memory than there is by a lower bound, before anything is allocated.

    Args:
        images: that a process takes at once.
        canvas: edge of an image in pixels.

    Raises:
        MaskRCNNError: there is not enough memory.
    """
    pixels = images * canvas**2
    on_host = accumulate * pixels * channels + (pixels * LEAST if device.type == "cpu" else 0)
    needs = [(on_host, available_memory(), "memory")]
    if device.type == "cuda":
        needs.append((pixels * LEAST, torch.cuda.mem_get_info(device)[1], "GPU memory"))
    for needed, there, what in needs:
        if there is not None and needed > there:
            raise MaskRCNNError(
                f"batch_size {images}, accumulate {accumulate} and images of {canvas} pixels each way need at least "
                f"{needed / 2**30:,.1f} GiB of {what}, {there / 2**30:,.1f} GiB are free",
                fix="lower batch_size, accumulate or canvas; batch_size=auto takes what fits",
            )


def crowded_batch(model: MaskRCNN, images: int, canvas: int) -> Batch:
    """A batch as in training, with 100 objects an image; pixels and boxes from a fixed seed."""
    channels = model.config.preprocess.channels
    draw = torch.Generator().manual_seed(0)
    corner = torch.rand(images, OBJECTS, 2, generator=draw) * (canvas * 0.8)
    boxes = torch.cat((corner, corner + canvas * (0.02 + 0.18 * torch.rand(images, OBJECTS, 2, generator=draw))), -1)
    batch = Batch(
        images=torch.randint(0, 256, (images, channels, canvas, canvas), generator=draw, dtype=torch.uint8),
        sizes=torch.full((images, 2), canvas),
        boxes=boxes,
        labels=torch.zeros(images, OBJECTS, dtype=torch.long),
        valid=torch.ones(images, OBJECTS, dtype=torch.bool),
        frames=boxes,
        patches=torch.full((images, OBJECTS, PATCH, PATCH), 255, dtype=torch.uint8),
        patch_sizes=torch.full((images, OBJECTS, 2), PATCH),
        crowd=torch.zeros(images, 0, 4),
        seeds=torch.arange(images),
    )
    return batch.to(model.normalise.mean.device)


def _try_cuda(objective: Objective, learner: Learner, canvas: int) -> tuple[int, str]:
    device = learner.accelerator.device
    moments = 2 if learner.recipe.optimizer == "adamw" else 1  # float32 numbers that the optimiser keeps of a parameter
    reserved = 4 * moments * sum(value.numel() for value in learner.trained)
    free, total = torch.cuda.mem_get_info(device)
    # This process can reuse what it has reserved.
    budget = CUDA_SHARE * (free + torch.cuda.memory_reserved(device)) - reserved
    fits, too_many, taken = 1, 2 * CUDA_LIMIT, 0.0
    while too_many - fits > fits // 8 and fits < CUDA_LIMIT:
        images = min(2 * fits, (fits + too_many) // 2)
        peak = _peak(objective, learner.accelerator, canvas, images)
        if peak <= budget:
            fits, taken = images, peak
        else:
            too_many = images
    return fits, f"they took {taken / 2**30:.1f} of {total / 2**30:.1f} GiB with {OBJECTS} objects each"


def _peak(objective: Objective, accelerator: Accelerator, canvas: int, images: int) -> float:
    """Bytes that a forward and backward pass held at most; infinity if memory ran out."""
    free_memory(accelerator.device)
    torch.cuda.reset_peak_memory_stats(accelerator.device)
    try:
        with accelerator.autocast():
            loss = objective(crowded_batch(objective.model, images, canvas))[0]
        loss.backward()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return math.inf
    return torch.cuda.max_memory_allocated(accelerator.device)


def _count_cpu(objective: Objective, accelerator: Accelerator, canvas: int) -> tuple[int, str]:
    stored: dict[int, int] = {}

    def count(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        stored[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value), accelerator.autocast():
        objective(crowded_batch(objective.model, 1, canvas))
    weights = {value.untyped_storage().data_ptr() for value in objective.parameters()}
    image = PASSING * sum(size for pointer, size in stored.items() if pointer not in weights)
    free = float(get_max_memory()["cpu"])
    images = min(max(int(CPU_SHARE * free / image), 1), CPU_LIMIT)
    return images, f"an image takes about {image / 2**20:.0f} MiB, {free / 2**30:.1f} GiB are free"
