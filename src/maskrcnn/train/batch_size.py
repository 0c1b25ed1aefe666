"""How many images of a canvas a step can take: asked of the memory, with more objects than most images have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import get_max_memory
from torch import Tensor

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.batch import Batch
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops.memory import available_memory, free_memory, is_out_of_memory
from maskrcnn.train.parallel import Objective

OBJECTS, PATCH = 100, 56
CUDA_LIMIT, CUDA_SHARE = 128, 0.85
# Larger batches make a CPU no faster; and others use the same memory.
CPU_LIMIT, CPU_SHARE = 16, 0.5
# Bytes that a training step holds for a pixel of its batch at the very least; 400 to 2,000 were measured.
LEAST = 64
PASSING = 1.5  # a CPU step at its peak, by what it keeps for the backward pass; 1.1 to 1.4 were measured


def largest_batch(
    objective: Objective, accelerator: Accelerator, canvas: int, parameters: Sequence[Tensor], optimizer_moments: int
) -> tuple[int, str]:
    """Images a step, and why so many.

    On CUDA steps of growing size are tried; on a CPU what one image keeps for its gradient is counted against half of
    the free memory; elsewhere it is 8. Weights, gradients and batch-norm statistics are left as they were.

    Args:
        parameters: what is trained.
        optimizer_moments: float32 numbers that the optimiser will keep for each of them.
    """
    device = accelerator.device
    kept = [(buffer, buffer.clone()) for buffer in objective.buffers()]
    try:
        if device.type == "cuda":
            return _try_cuda(objective, accelerator, canvas, 4 * optimizer_moments * sum(p.numel() for p in parameters))
        if device.type == "cpu":
            return _count_cpu(objective, accelerator, canvas)
        return 8, f"{device.type} does not tell its memory"
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
        for value in parameters:
            value.grad = None
        free_memory(device)


def check_batch(images: int, accumulate: int, canvas: int, channels: int, device: torch.device) -> None:
    """Refuse, before anything of it is made, steps that need more memory than there is by the least that they can need.

    Args:
        images: that a process takes at once.
        canvas: edge of an image in pixels.

    Raises:
        MaskRCNNError: they do.
    """
    pixels = images * canvas**2
    needs = [(accumulate * pixels * channels, available_memory(), "memory")]
    if device.type == "cpu":
        needs = [(accumulate * pixels * channels + pixels * LEAST, available_memory(), "memory")]
    elif device.type == "cuda":
        needs.append((pixels * LEAST, torch.cuda.mem_get_info(device)[1], "GPU memory"))
    for needed, there, what in needs:
        if there is not None and needed > there:
            raise MaskRCNNError(
                f"batch_size {images}, accumulate {accumulate} and images of {canvas} pixels each way need at least "
                f"{needed / 2**30:,.1f} GiB of {what}, {there / 2**30:,.1f} GiB are free",
                fix="lower batch_size, accumulate or canvas; batch_size=auto asks the memory",
            )


def crowded_batch(model: MaskRCNN, images: int, canvas: int) -> Batch:
    """A batch as a model's training makes them, with 100 objects an image; pixels and boxes from a fixed seed."""
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
    return batch.to(model.mean.device)


def _try_cuda(objective: Objective, accelerator: Accelerator, canvas: int, reserved: int) -> tuple[int, str]:
    device = accelerator.device
    free, total = torch.cuda.mem_get_info(device)
    # What this process holds already, it can use again.
    budget = CUDA_SHARE * (free + torch.cuda.memory_reserved(device)) - reserved
    fits, too_many, taken = 1, 2 * CUDA_LIMIT, 0.0
    while too_many - fits > fits // 8 and fits < CUDA_LIMIT:
        images = min(2 * fits, (fits + too_many) // 2)
        peak = _peak(objective, accelerator, canvas, images)
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
