"""The device of a run, and communication between the processes that train one model.

They are started by ``torchrun`` or ``accelerate launch``; a single process does not communicate. Batch norm that is
not frozen takes its statistics from all processes' batches on GPUs, and from each process's own batch on CPUs.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import set_seed
from torch import Tensor, nn

from maskrcnn.inference.device import pick_device
from maskrcnn.model.batch import Batch
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.recipe import Recipe

T = TypeVar("T")
# The others wait while the first process evaluates, which can take long; if a process dies, the run ends at once.
PATIENCE = timedelta(hours=6)


def join_processes(device: str) -> tuple[torch.device, Processes]:
    """This process's device, and the processes of the run, which it joins."""
    picked = pick_device(device)
    if picked.type == "cuda" and picked.index is not None:
        torch.cuda.set_device(picked)
    # accelerate keeps one state a process: without this, a second run could not choose its precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState(cpu=picked.type == "cpu", timeout=PATIENCE)
    return picked, Processes()


def build_accelerator(recipe: Recipe, device: torch.device, folder: Path) -> Accelerator:
    """accelerate's state of this process, after `join_processes`, with torch's generators seeded."""
    accelerator = Accelerator(
        mixed_precision={"fp32": "no"}.get(recipe.precision, recipe.precision),
        cpu=device.type == "cpu",
        gradient_accumulation_steps=recipe.accumulate,
        log_with=list(recipe.track) or None,
        project_dir=str(folder),
    )
    set_seed(recipe.seed)
    return accelerator


class Objective(nn.Module):
    """What a step minimises: the model's losses of a batch, divided by counts over the batches of all processes.

    Gradients averaged over W processes then equal those of one process with all their images. It is a module because
    distributed training wraps `forward`.
    """

    def __init__(self, model: MaskRCNN, processes: int = 1) -> None:
        super().__init__()
        self.model, self.processes = model, processes

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The scalar to differentiate; and the detached losses, float [5] in the order of `Losses`, over the batches of
        all processes and over that of this one."""
        terms = self.model.loss_terms(batch)
        own = terms.mean
        if self.processes == 1:
            return own.sum(), own.detach(), own.detach()
        everywhere = torch.stack((terms.total.detach(), terms.samples.float()))
        dist.all_reduce(everywhere)
        samples = everywhere[1].clamp(min=1)
        return (terms.total * (self.processes / samples)).sum(), everywhere[0] / samples, own.detach()


class Processes:
    """The processes of a run. Each must make the same calls in the same order."""

    def __init__(self) -> None:
        started = dist.is_available() and dist.is_initialized()
        self.count, self.rank = (dist.get_world_size(), dist.get_rank()) if started else (1, 0)
        # Host values are exchanged in a second group, on the CPU, so that nothing waits for the GPU.
        self._hosts: Any = dist.new_group(backend="gloo", timeout=PATIENCE) if self.count > 1 else None

    @property
    def main(self) -> bool:
        """Whether this is the first process, which alone writes, prints and evaluates."""
        return self.rank == 0

    def all_max(self, *values: float) -> list[float]:
        """The largest of each value over all processes."""
        if self.count == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(shared, dist.ReduceOp.MAX, group=self._hosts)
        return shared.tolist()

    def all_gather(self, items: list[T]) -> list[T]:
        """The items of all processes, for each process."""
        if self.count == 1:
            return items
        parts: list[Any] = [None] * self.count
        dist.all_gather_object(parts, items, group=self._hosts)
        return [item for part in parts for item in part]

    def broadcast(self, value: T) -> T:
        """The first process's value, for each process; the others wait for it."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, group=self._hosts)
        return box[0]

    def leave_group(self) -> None:
        """End the communication."""
        if self.count > 1:
            dist.destroy_process_group()
