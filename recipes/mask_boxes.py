"""Masks for objects that have only boxes, by a model that is given the boxes.

    python recipes/mask_boxes.py coco_person_boxes/train.json coco_person_boxes/train runs/people-3/last.safetensors OUT

writes OUT/train.json, and OUT/train as a link to the images. Each object is segmented four times: at two sizes, and as
in a mirror. The mask is that of the mean probabilities; it is kept if the four agree with it, fill their box and touch
its sides. Other objects, crowds among them, stay boxes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskrcnn.inference.loading import load
from maskrcnn.inference.predictor import Predictor
from maskrcnn.masks import Masks

SIZES = (400, 576)  # shortest edges of the network input
LEAST_AGREEMENT = 0.8  # mean IoU of the four bitmaps with the mean's
LEAST_FILL = 0.2  # share of the box that the mask covers
LEAST_EXTENT = 0.85  # of the box's width and height that the mask spans
LEAST_SCORE = 0.3  # mean probability that the object is of its class
LEAST_SIDE = 12  # pixels; smaller objects have no outline to learn from


def mean_masks(model: Predictor, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probabilities [N, M, M] in the boxes' frames, agreement [N] and score [N] of objects in boxes [N, 4]."""
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
    probs, scores = [], []
    for size in SIZES:
        for pixels, frames, turn in ((image, boxes, 1), (image[:, ::-1], mirrored, -1)):
            found = model.segment(np.ascontiguousarray(pixels), frames, size=size)
            assert found.masks.probs is not None
            probs.append(found.masks.probs[:, :, ::turn])
            scores.append(found.scores)
    mean = np.mean(probs, axis=0)
    bitmaps, reference = np.stack(probs) > 0.5, mean > 0.5
    shared, either = (bitmaps & reference).sum((2, 3)), (bitmaps | reference).sum((2, 3))
    return mean, (shared / np.maximum(either, 1)).mean(0), np.mean(scores, axis=0)


def is_whole_object(prob: np.ndarray) -> bool:
    """Whether a mask [M, M] fills and spans its box as an object does."""
    bitmap = prob > 0.5
    extents = [np.flatnonzero(bitmap.any(axis)) for axis in (0, 1)]
    if not all(len(extent) for extent in extents) or bitmap.mean() < LEAST_FILL:
        return False
    return min(int(np.ptp(extent)) + 1 for extent in extents) >= LEAST_EXTENT * len(bitmap)


def add_masks(labels: Path, images: Path, weights: str, out: Path) -> None:
    """Write the COCO file with masks, and say how many objects got one."""
    data: dict[str, Any] = json.loads(labels.read_text())
    model = load(weights, "cpu", "fp32")
    assert isinstance(model, Predictor)
    of_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        if not annotation.get("iscrowd") and min(annotation["bbox"][2:]) >= LEAST_SIDE:
            of_image.setdefault(annotation["image_id"], []).append(annotation)
    kept = 0
    for number, entry in enumerate(data["images"]):
        objects = of_image.get(entry["id"], [])
        if not objects:
            continue
        with Image.open(images / entry["file_name"]) as file:
            image = np.asarray(file.convert("RGB"))
        boxes = np.array([annotation["bbox"] for annotation in objects], dtype=np.float32)
        boxes[:, 2:] += boxes[:, :2]
        mean, agreement, scores = mean_masks(model, image, boxes)
        rles = Masks.from_probs(mean, boxes, image.shape[:2]).rle()
        for k, annotation in enumerate(objects):
            if agreement[k] >= LEAST_AGREEMENT and scores[k] >= LEAST_SCORE and is_whole_object(mean[k]):
                annotation["segmentation"] = rles[k]
                kept += 1
        if number % 100 == 0:
            print(f"{number} of {len(data['images'])} images, {kept} masks", flush=True)
    out.mkdir(parents=True)
    (out / "train").symlink_to(images.resolve(), target_is_directory=True)
    (out / "train.json").write_text(json.dumps(data))
    print(f"{kept} of {len(data['annotations'])} objects have a mask")


if __name__ == "__main__":
    add_masks(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
