"""Train the mask head alone, on kept RoI features: many epochs of outlines in the time of one epoch of whole steps.

    python recipes/mask_head.py runs/people-4/last.safetensors recipes/people-2.data.yaml runs/people-5.safetensors

Backbone and FPN see each augmented image once, without gradients. The 14x14 features of its objects' RoIs, in their
boxes and in boxes moved by up to a tenth of their sides, are kept with the targets in memory (75 kB a RoI), and the
mask head learns from them with AdamW, a cosine schedule and the mask loss of the paper (section 3). All else stays.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.model.batch import Batch
from maskrcnn.model.box_head import RoISamples
from maskrcnn.model.losses import mask_loss
from maskrcnn.model.mask_head import mask_targets
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.samples.augment import Augmentation
from maskrcnn.training.samples.loader import training_loader
from maskrcnn.weights.any_checkpoint import read_any_checkpoint
from maskrcnn.weights.checkpoint import save_checkpoint
from maskrcnn.weights.load import load_checkpoint

BATCH = 8  # images of a forward pass
ROIS = 64  # of a step
SHIFT = 0.1  # of a box's side, by which its edges move at most
LEAST_SIDE = 6.0  # pixels; smaller objects have no outline to learn from


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a checkpoint of ours, or the name of a bundled model")
    parser.add_argument("data", help="of its train split")
    parser.add_argument("out", type=Path, help="the checkpoint with the new mask head")
    parser.add_argument("--images", type=int, default=6000, help="augmented images whose features are kept")
    parser.add_argument("--canvas", type=int, default=320)
    parser.add_argument("--zoom", type=float, nargs=2, default=(0.5, 1.6))
    parser.add_argument("--turns", action="store_true", help="also turn and flip freely")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    checkpoint, _ = read_any_checkpoint(arguments.weights)
    model = MaskRCNN(checkpoint.config, checkpoint.names)
    load_checkpoint(model, checkpoint, arguments.weights)
    augmentation = Augmentation(scale=tuple(arguments.zoom), object_crops=0.8, turns=arguments.turns)
    loader = training_loader(
        open_dataset(arguments.data, "train"),
        checkpoint.config.preprocess,
        augmentation,
        arguments.canvas,
        BATCH,
        workers=1,
        seed=arguments.seed,
    )
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    for number, loaded in zip(range(0, arguments.images, BATCH), loader, strict=False):
        kept += examples(model.eval(), loaded.batch)
        if number % (50 * BATCH) == 0:
            print(f"{number} of {arguments.images} images, {sum(len(part[0]) for part in kept)} RoIs", flush=True)
    train(model, *map(torch.cat, zip(*kept, strict=True)), epochs=arguments.epochs, lr=arguments.lr)
    save_checkpoint(model.eval(), arguments.out, checkpoint.provenance)


@torch.no_grad()
def examples(model: MaskRCNN, batch: Batch) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Features float16 [R, F, k, k], targets uint8 [R, 2k, 2k] and labels int [R] of the objects, twice."""
    sides = batch.boxes[..., 2:] - batch.boxes[..., :2]
    wanted = batch.valid & (batch.patch_sizes > 0).all(-1) & (sides.amin(-1) >= LEAST_SIDE)
    chosen = wanted.flatten().nonzero()[:, 0]
    if not len(chosen):
        return
    pyramid = model.features(batch.images, batch.sizes)
    objects = torch.arange(batch.boxes.shape[1]).expand(wanted.shape)
    for share in (0.0, SHIFT):
        boxes = batch.boxes + (2 * torch.rand(batch.boxes.shape) - 1) * share * sides.repeat(1, 1, 2)
        rois = RoISamples(boxes, batch.valid, wanted, batch.labels, objects)
        targets, _ = mask_targets(rois, batch, 2 * model.config.mask_bins, model.config)
        image = chosen // batch.boxes.shape[1]
        features = pyramid.roi_align(boxes.flatten(0, 1)[chosen], image, model.config.mask_bins)
        yield features.half(), (targets[chosen] * 255).to(torch.uint8), batch.labels.flatten()[chosen]


def train(model: MaskRCNN, features: Tensor, targets: Tensor, labels: Tensor, *, epochs: int, lr: float) -> None:
    """Fit the mask head in place."""
    head = model.mask_head.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=0.05)
    steps = epochs * (len(features) // ROIS)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    loss_sum = 0.0
    for step in range(steps):
        place = step % (len(features) // ROIS) * ROIS
        if not place:
            order = torch.randperm(len(features))
        chosen = order[place : place + ROIS]
        rois = features[chosen].float().contiguous(memory_format=torch.channels_last)
        logits = head.of_class(rois, labels[chosen])
        loss = mask_loss(logits, targets[chosen].float() / 255, torch.ones(ROIS, dtype=torch.bool)).mean
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        loss_sum += float(loss)
        if step % 100 == 99:
            print(f"step {step + 1} of {steps}: mask loss {loss_sum / 100:.4f}", flush=True)
            loss_sum = 0.0


if __name__ == "__main__":
    main()
