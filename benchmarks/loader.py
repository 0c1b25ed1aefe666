"""The loader beside torchvision's transforms with full-size masks: images a second and core, in one process.

    python benchmarks/loader.py ../shared/data [--images 64] [--repeats 7]

Both decode the same JPEG files, draw the same masks, scale image and masks by the same factors (large-scale jitter: 0.1
to 2 times what fits the canvas), cut or pad to the same canvas, mirror half of them and drop what falls outside; ours
also builds the padded batch. Before it is timed, the work is checked to be the same: for fixed factors, windows and
flips both must give the same objects, boxes, masks and pixels.

The contenders take turns, image set by image set, on one thread; the median of the repeats counts. Time is the
process's own (CPU) time, so that other programs on the machine change little. Needs pycocotools.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from pycocotools import mask as pycoco_mask
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import Labels, StoredAnnotations
from maskrcnn.config import Preprocess
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.masks.patch import resample_patch
from maskrcnn.training.samples.augment import Augmentation
from maskrcnn.training.samples.instances import make_instances
from maskrcnn.training.samples.loader import Collate
from maskrcnn.training.samples.sample import Sample, SampleInputs, make_samples, mirror
from maskrcnn.training.samples.stream import TrainingStream
from maskrcnn.training.samples.view import View, largest_shrink

CANVAS = 512
SCALE = (0.1, 2.0)
BATCH = 8
DENSE = 300
# The scale of 1 is where an image fits the canvas, as in torchvision's ScaleJitter.
FIT = Preprocess(short=(CANVAS, CANVAS), long=CANVAS)
# Masks smaller than this many pixels are too small for their overlap to say anything.
COMPARED = 256


class Ours:
    """Batches of the training stream."""

    def __init__(self, dataset: Dataset) -> None:
        augmentation = Augmentation(scale=SCALE, colour=0, object_crops=0)
        self.stream = TrainingStream(dataset, FIT, augmentation, CANVAS, seed=0)
        self.collate = Collate(CANVAS, FIT.divisor)

    def run(self, start: int, count: int) -> None:
        for first in range(start, start + count, BATCH):
            self.collate(self.stream.__getitems__(range(first, min(first + BATCH, start + count))))


class Torchvision:
    """The same stream by torchvision's transforms, on an image and masks [N, H, W]."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.after = v2.Compose(
            [
                v2.RandomCrop(CANVAS, pad_if_needed=True),
                v2.RandomHorizontalFlip(),
                v2.SanitizeBoundingBoxes(),
            ]
        )

    def run(self, start: int, count: int) -> None:
        for place in range(start, start + count):
            # Its image and its scale, so that both do the same work.
            epoch, offset = divmod(place, len(self.dataset))
            index = int(np.random.default_rng([0, epoch]).permutation(len(self.dataset))[offset])
            scale = float(np.random.default_rng([0, epoch, offset]).uniform(*SCALE))
            jitter = v2.ScaleJitter((CANVAS, CANVAS), (scale, scale))
            self.after(*jitter(*read_dense(self.dataset, index)))


def read_dense(dataset: Dataset, index: int) -> tuple[tv_tensors.Image, dict[str, torch.Tensor]]:
    """An image and its labels as torchvision's detection references have them."""
    record = dataset.records[index]
    image = tv_tensors.Image(decode_image(read_file(str(record.path)), ImageReadMode.RGB))
    single = [a for a in dataset.annotations(index)[0] if not a.crowd]
    masks = [torch.from_numpy(dense(a, record.size)) for a in single]
    boxes = torch.tensor([a.box for a in single]).reshape(-1, 4)
    target = {
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=record.size),
        "masks": tv_tensors.Mask(torch.stack(masks) if masks else torch.zeros(0, *record.size, dtype=torch.uint8)),
        "labels": torch.tensor([a.label for a in single], dtype=torch.int64),
    }
    return image, target


def dense(annotation: Annotation, size: tuple[int, int]) -> np.ndarray:
    """The mask of one annotation, uint8 [H, W]."""
    segmentation = annotation.segmentation
    if isinstance(segmentation, list):
        polygons = [polygon.tolist() for polygon in segmentation]
        return pycoco_mask.decode(pycoco_mask.merge(pycoco_mask.frPyObjects(polygons, *size)))
    return pycoco_mask.decode(segmentation)


def same_work(dataset: Dataset, count: int) -> tuple[float, float, float, int]:
    """Both ways with the same scale, window and flip.

    Returns:
        The mean overlap (IoU) of masks, of the boxes of objects that no window cuts, the mean difference of pixels, and
        how many objects were compared.
    """
    rng = np.random.default_rng(1)
    masks, boxes, pixels = [], [], []
    for index in range(count):
        record = dataset.records[index]
        zoom = CANVAS / max(record.size) * float(rng.uniform(*SCALE))
        spare = np.maximum(np.array(record.size[::-1]) - CANVAS / zoom, 0)
        corner, flipped = tuple(rng.uniform(0, spare)), bool(rng.random() < 0.5)
        ours, view = our_sample(dataset, index, zoom, corner, flipped)
        image, target = torchvision_sample(dataset, index, view, flipped)
        shown = image[:, : view.size[0], : view.size[1]].permute(1, 2, 0).numpy()
        pixels.append(np.abs(shown.astype(int) - ours.image).mean())
        theirs = target["masks"][:, : view.size[0], : view.size[1]].numpy()
        their_boxes = target["boxes"].numpy()
        for k, label in enumerate(ours.labels):
            mask = as_dense(ours, k)
            if mask.sum() < COMPARED:
                continue
            overlap = (theirs & mask).sum(axis=(1, 2)) / np.maximum((theirs | mask).sum(axis=(1, 2)), 1)
            best = int(np.argmax(overlap * (target["labels"].numpy() == label)))
            masks.append(float(overlap[best]))
            x1, y1, x2, y2 = ours.boxes[k]
            if min(x1, y1) > 1 and x2 < view.size[1] - 1 and y2 < view.size[0] - 1:
                boxes.append(iou(ours.boxes[k], their_boxes[best]))
    return statistics.fmean(masks), statistics.fmean(boxes), statistics.fmean(pixels), len(masks)


def our_sample(
    dataset: Dataset, index: int, zoom: float, corner: tuple[float, float], flipped: bool
) -> tuple[Sample, View]:
    record = dataset.records[index]
    shapes, _ = make_instances(dataset.annotations(index)[0], record.size, record.path)
    shrink = largest_shrink(zoom)
    image = dataset.pixels(index, FIT, shrink)
    view = View.of(record.size, zoom, corner, CANVAS, 1 if image.shape[:2] == record.size else shrink)
    sample = make_samples([SampleInputs(image, shapes, view)])[0]
    return (mirror(sample) if flipped else sample), view


def torchvision_sample(
    dataset: Dataset, index: int, view: View, flipped: bool
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The same window: its scale and corner, to the nearest pixel, are those that the view came to."""
    image, target = read_dense(dataset, index)
    height, width = dataset.records[index].size
    size = [round(height * view.rows.zoom), round(width * view.columns.zoom)]
    corner = [round(view.rows.shift), round(view.columns.shift)]
    steps = [lambda x: functional.resize(x, size, antialias=True), lambda x: functional.crop(x, *corner, *view.size)]
    steps += [functional.horizontal_flip] if flipped else []
    for step in steps:
        image = step(image)
        target |= {name: step(target[name]) for name in ("boxes", "masks")}
    return image, target


def as_dense(sample: Sample, k: int) -> np.ndarray:
    """Object k's patch as a mask, uint8 [h, w]."""
    height, width = sample.image.shape[:2]
    x1, y1, x2, y2 = sample.frames[k].astype(int)
    rows, columns = sample.patches[k].shape
    box = (0.0, 0.0, float(columns), float(rows))
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[y1:y2, x1:x2] = resample_patch(sample.patches[k], box, (int(y2 - y1), int(x2 - x1))) > 127
    return mask


def iou(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.maximum(high - low, 0).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def crowded(dataset: Dataset, objects: int) -> Dataset:
    """The data with the objects of each image repeated, moved about within it, until there are so many."""
    rng = np.random.default_rng(2)
    annotations = []
    for index, record in enumerate(dataset.records):
        single = [a for a in dataset.annotations(index)[0] if not a.crowd and isinstance(a.segmentation, list)]
        annotations.append([moved(single[k % len(single)], record.size, rng) for k in range(objects if single else 0)])
    return Dataset(Labels(dataset.names, dataset.records, StoredAnnotations(annotations)))


def moved(annotation: Annotation, size: tuple[int, int], rng: np.random.Generator) -> Annotation:
    assert annotation.box is not None
    assert isinstance(annotation.segmentation, list)
    x1, y1, x2, y2 = annotation.box
    shift = np.array([rng.uniform(-x1, size[1] - x2), rng.uniform(-y1, size[0] - y2)])
    polygons = [polygon + np.tile(shift, len(polygon) // 2) for polygon in annotation.segmentation]
    return annotation._replace(box=tuple(np.array(annotation.box) + np.tile(shift, 2)), segmentation=polygons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds coco_mini and mushroom")
    parser.add_argument("--images", type=int, default=64, help="images a repeat")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    coco, mushroom = (open_dataset(arguments.data / name, "train") for name in ("coco_mini", "mushroom"))
    sets = {"coco_mini": coco, "mushroom": mushroom, f"mushroom, {DENSE} objects an image": crowded(mushroom, DENSE)}
    print(f"canvas {CANVAS}, scale {SCALE[0]:g} to {SCALE[1]:g}, one thread, median of {arguments.repeats} repeats\n")
    print("| data | objects an image | torchvision, images/s | ours, images/s | ratio | spread |")
    print("|---|---|---|---|---|---|")
    checks = []
    for name, dataset in sets.items():
        images = arguments.images if name == "coco_mini" else max(arguments.images // 8, BATCH)
        contenders: tuple[Torchvision | Ours, ...] = (Torchvision(dataset), Ours(dataset))
        speeds: list[list[float]] = [[], []]
        for repeat in range(arguments.repeats + 1):
            for contender, own in zip(contenders, speeds, strict=True):
                began = time.process_time()
                contender.run(repeat * images, images)
                if repeat:  # the first warms up
                    own.append(images / (time.process_time() - began))
        ratios = sorted(ours / theirs for theirs, ours in zip(*speeds, strict=True))
        counts = statistics.fmean(len(dataset.annotations(i)[0]) for i in range(len(dataset)))
        theirs, ours = map(statistics.median, speeds)
        print(
            f"| {name} | {counts:.0f} | {theirs:.1f} | {ours:.1f} | **{statistics.median(ratios):.1f}** "
            f"| {ratios[0]:.1f} to {ratios[-1]:.1f} |",
            flush=True,
        )
        checks.append((name, *same_work(dataset, min(images, 24))))
    print("\nThe same work, checked: overlap (IoU) of masks and of uncut boxes, mean difference of pixels of 255")
    for name, masks, boxes, pixels, count in checks:
        print(f"  {name}: masks {masks:.3f}, boxes {boxes:.3f}, pixels {pixels:.2f}; {count} objects")
        if masks < 0.9 or boxes < 0.9 or pixels > 3:
            raise SystemExit("the two do not do the same work")


if __name__ == "__main__":
    main()
