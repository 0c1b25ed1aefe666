"""Training beside torchvision's Mask R-CNN: the same weights, photos and objects, the same optimiser, whole steps.

    python benchmarks/training.py                                    # two CPU cores
    python benchmarks/training.py --device cuda --size 800 1216 --batch 16 --objects 8 50 --precisions fp32 bf16

A step is forward, backward, gradient clipping and SGD with momentum; the stem and the first stage are frozen, as
torchvision's recipe has it. torchvision takes one full-size mask an object, as its documentation asks; ours takes the
batch its own loader makes. The two take turns in one process, with the same allocator. That both learn the same is
checked in the run: the five losses of the first step, which differ only by the anchors and RoIs each draws; with the
same draws they are equal to 1e-4 (tests/model/test_torchvision_parity.py).
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from arithmetic import ceiling, multiply_adds, synchronize
from peer import as_float, build, photos, weights_file

from maskrcnn.config import preset
from maskrcnn.inference.device import PRECISIONS
from maskrcnn.masks.crop import crop_of
from maskrcnn.masks.patch import to_patch
from maskrcnn.model.batch import Batch
from maskrcnn.ops.allocator import keep_freed_memory
from maskrcnn.training.distributed import Processes
from maskrcnn.training.learner import Learner
from maskrcnn.training.recipe import read_recipe
from maskrcnn.training.samples.loader import collate
from maskrcnn.training.samples.sample import Sample
from maskrcnn.weights.load import load_model

NAMES = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")
RATE = 1e-5  # the weights must stay what they are: random ones diverge at a useful rate
CLIP = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--objects", type=int, nargs="+", default=[8, 50])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=list(PRECISIONS))
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        weights = weights_file(Path(folder))
        for precision in arguments.precisions:
            for objects in arguments.objects:
                compare(arguments, weights, precision, objects)


def compare(arguments: argparse.Namespace, weights: Path, precision: str, objects: int) -> None:
    """Both contenders on one batch."""
    device = torch.device(arguments.device)
    size: tuple[int, int] = tuple(arguments.size)
    images = photos(arguments.batch, *size)
    masks = [ellipses(objects, size, seed) for seed in range(arguments.batch)]
    contenders = {
        "torchvision": torchvision_step(images, masks, weights, device, precision),
        "ours": our_step(images, masks, weights, device, precision),
    }
    first = {name: step() for name, step in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    peaks = {}
    for turn in range(arguments.repeats + 1):
        for name, step in contenders.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            synchronize(device)
            start = time.perf_counter()
            step(read=False)
            synchronize(device)
            if turn:
                times[name].append(time.perf_counter() - start)
            if device.type == "cuda":
                peaks[name] = torch.cuda.max_memory_allocated() / 2**30
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{arguments.batch} x {size[0]}x{size[1]}, {objects} objects an image, {precision} on {device}:")
    for name, spent in median.items():
        peak = f", peak {peaks[name]:.1f} GiB" if peaks else ""
        print(f"  {name:12}{spent * 1e3:10.0f} ms a step{arguments.batch / spent:10.2f} images/s{peak}")
    print(f"  ratio {median['torchvision'] / median['ours']:.2f}")
    config = preset("resnet50_fpn")
    # The stem and the first stage have no backward pass; it costs twice the forward one elsewhere.
    work = multiply_adds(config, *size, config.roi_samples, int(config.roi_samples * config.roi_positive_share))
    floor = 3 * sum(work.values()) / ceiling(device, PRECISIONS[precision])
    print(f"  arithmetic alone, at the rate of a 3x3 convolution measured now: at most {floor * 1e3:.0f} ms an image")
    for name, theirs, our in zip(NAMES, first["torchvision"], first["ours"], strict=True):
        print(f"    {name:18} torchvision {theirs:8.4f}   ours {our:8.4f}")
    total = [sum(losses) for losses in first.values()]
    if not abs(total[0] - total[1]) < 0.2 * total[0]:
        raise SystemExit(f"the losses differ by more than sampling explains: {total}")
    print(f"  peak memory of the process so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


def ellipses(count: int, size: tuple[int, ...], seed: int) -> np.ndarray:
    """bool [count, H, W]: objects of 16 to 200 pixels in random places, of a hundred classes."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    masks = np.zeros((count, *size), dtype=bool)
    for mask in masks:
        radius = np.exp(draw.uniform(np.log(8), np.log(100), 2))
        centre = [draw.uniform(r, edge - r) for r, edge in zip(radius, size, strict=True)]
        mask[:] = ((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 <= 1
    return masks


def boxes_and_labels(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 [N, 4] around the masks, and int64 [N] labels."""
    boxes = np.array([crop_of(mask).box for mask in masks], dtype=np.float32).reshape(-1, 4)
    return boxes, np.arange(len(masks)) % 90


def torchvision_step(
    images: list[np.ndarray], masks: list[np.ndarray], weights: Path, device: torch.device, precision: str
) -> Callable[..., list[float]]:
    """A step of torchvision's model; its five losses if they are to be read."""
    model = build(min_size=min(images[0].shape[:2]), max_size=max(images[0].shape[:2]))
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.to(device).train()
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=RATE, momentum=0.9, nesterov=True)
    pixels = [as_float(image) for image in images]
    targets = []
    for one in masks:
        boxes, labels = boxes_and_labels(one)
        targets.append(
            {
                "boxes": torch.from_numpy(boxes),
                "labels": torch.from_numpy(labels) + 1,
                "masks": torch.from_numpy(one.astype(np.uint8)),
            }
        )

    def step(read: bool = True) -> list[float]:
        with torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32"):
            here = [{name: value.to(device) for name, value in target.items()} for target in targets]
            losses = model([image.to(device) for image in pixels], here)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        return [losses[name].item() for name in NAMES] if read else []

    return step


def our_step(
    images: list[np.ndarray], masks: list[np.ndarray], weights: Path, device: torch.device, precision: str
) -> Callable[..., list[float]]:
    """A step of ours, as `maskrcnn train` makes it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision={"fp32": "no"}.get(precision, precision), cpu=device.type == "cpu")
    settings = {"optimizer": "sgd", "freeze": (0, 1), "clip_norm": CLIP, "weight_decay": 0.0, "ema": 0.0}
    recipe = read_recipe(None, settings | {"lr": RATE, "lr_batch": 1})
    learner = Learner(load_model(weights)[0], recipe, accelerator, Processes())
    batch = our_batch(images, masks)
    if device.type == "cuda":
        batch = Batch(*(tensor.pin_memory() for tensor in batch))

    def step(read: bool = True) -> list[float]:
        losses, _ = learner.gradients([batch], 0)
        learner.update(RATE)
        return losses.tolist() if read else []

    return step


def our_batch(images: list[np.ndarray], masks: list[np.ndarray]) -> Batch:
    """What our loader makes of the images and masks."""
    samples = []
    for seed, (image, one) in enumerate(zip(images, masks, strict=True)):
        boxes, labels = boxes_and_labels(one)
        patches = [to_patch(crop_of(mask).bitmap, 112) for mask in one]
        areas = one.sum((1, 2)).astype(np.float32)
        crowd = np.zeros((0, 4), dtype=np.float32)
        samples.append(Sample(image, boxes, boxes, patches, labels, areas, crowd, seed))
    return collate(samples, (images[0].shape[0], images[0].shape[1]))


if __name__ == "__main__":
    main()
