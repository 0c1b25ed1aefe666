"""A model, its average and its optimiser, and the step that updates all three."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from timm.layers import convert_sync_batchnorm
from torch import Tensor

from maskrcnn.model.batch import Batch
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops.allocator import HEAP, keep_freed_memory
from maskrcnn.ops.depthwise_fp32 import keep_depthwise_in_fp32
from maskrcnn.training.backbone_stages import freeze
from maskrcnn.training.distributed import Objective, Processes
from maskrcnn.training.ema import EMA
from maskrcnn.training.optimizer import build_optimizer, set_rate
from maskrcnn.training.recipe import AUTO, Recipe

COMPILER = "inductor"


class Learner:
    """A model on its device with its optimiser; a step takes ``recipe.accumulate`` batches.

    Each process has one; gradients are averaged over processes, so that all stay equal.
    """

    def __init__(self, model: MaskRCNN, recipe: Recipe, accelerator: Accelerator, processes: Processes) -> None:
        self.recipe, self.accelerator, self.processes = recipe, accelerator, processes
        model = model.to(accelerator.device).to(memory_format=torch.channels_last)
        self.ema = EMA(model, recipe.ema)
        if accelerator.device.type == "cpu":
            keep_freed_memory()
            if accelerator.mixed_precision == "bf16":
                keep_depthwise_in_fp32(model)
        if accelerator.device.type == "cuda" and processes.count > 1:
            model = convert_sync_batchnorm(model)
        self.model = model.train()
        assert recipe.freeze != AUTO, "expected a recipe that was settled"
        freeze(self.model, recipe.freeze)
        self.trained = [value for value in self.model.parameters() if value.requires_grad]
        self.optimizer = build_optimizer(self.model, recipe, recipe.learning_rate(recipe.lr_batch))
        self.objective, self._update = accelerator.prepare(Objective(self.model, processes.count), self.optimizer)
        self._to_compile = recipe.compile

    def gradients(self, batches: Sequence[Batch], step: int) -> tuple[Tensor, Tensor]:
        """Add up the gradients of a step.

        torch's generator, used for example by dropout, is seeded with (seed, step, process) at each step.

        Returns:
            Detached losses in the order of `Losses`: float [5] over all batches and processes, and float [batches, 5]
            of each batch here.
        """
        if self._to_compile:
            self._to_compile = False
            # Their input shapes are static, and they cause most of the memory traffic.
            self.model.backbone.compile(backend=COMPILER)
            self.model.fpn.compile(backend=COMPILER)
        entropy = np.random.SeedSequence([self.recipe.seed, step, self.processes.rank])
        torch.manual_seed(int(entropy.generate_state(1)[0]))
        everywhere, here = [], []
        for batch in batches:
            with self.accelerator.accumulate(self.objective):
                total, losses, own = self.objective(batch.to(self.accelerator.device))
                self.accelerator.backward(total)
            everywhere.append(losses)
            here.append(own)
        return torch.stack(everywhere).mean(0), torch.stack(here)

    def update(self, rate: float) -> Tensor:
        """Clip the gradients and step the optimiser and the average; returns the norm before clipping.

        With ``skip_bad_steps`` the host waits for the norm, and the step is left out if it is not finite.
        """
        set_rate(self.optimizer, rate)
        norm = torch.as_tensor(self.accelerator.clip_grad_norm_(self.trained, self.recipe.clip_norm))
        # The scaler of the loss in fp16 checks the gradients itself; other precisions have none.
        if not self.recipe.skip_bad_steps or self.accelerator.scaler is not None or bool(norm.isfinite()):
            self._update.step()
            self.ema.update(self.model)
        self.optimizer.zero_grad()
        if self.accelerator.device.type == "cpu":
            HEAP.after_step()
        return norm
