import contextlib
import io
import math
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as truth_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn.data import Objects, open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluate.coco import CocoMetrics
from maskrcnn.masks import Crop, Masks

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NAMES = ("cat", "dog", "bird", "never seen")
AREAS = {"_small": 1, "_medium": 2, "_large": 3}
Image = tuple[int, tuple[int, int], Objects, np.ndarray, np.ndarray, np.ndarray, Masks]


def ellipse(rng: np.random.Generator, size: tuple[int, int], low: float, high: float) -> Crop:
    height, width = (int(side) for side in rng.uniform(low, high, 2))
    y, x = np.mgrid[:height, :width]
    bitmap = ((y + 0.5) / height * 2 - 1) ** 2 + ((x + 0.5) / width * 2 - 1) ** 2 <= 1
    return Crop(bitmap, int(rng.integers(0, size[1] - width)), int(rng.integers(0, size[0] - height)))


def moved(rng: np.random.Generator, crop: Crop, size: tuple[int, int]) -> Crop:
    reach = max(1, min(crop.bitmap.shape) // 5)
    dx, dy = rng.integers(-reach, reach + 1, 2)
    x = int(np.clip(crop.x + dx, 0, size[1] - crop.bitmap.shape[1]))
    y = int(np.clip(crop.y + dy, 0, size[0] - crop.bitmap.shape[0]))
    bitmap = crop.bitmap.copy()
    bitmap[: int(rng.uniform(0, 0.3) * len(bitmap))] = False
    return Crop(bitmap, x, y)


def detected(rng: np.random.Generator, truth: Objects, size: tuple[int, int], classes: int, rate: float) -> tuple:
    """Truth seen `rate` times on average: moved, cut, sometimes of the wrong class; scores with ties."""
    chosen = rng.integers(0, max(len(truth.ids), 1), int(rate * len(truth.ids)))
    crops = [moved(rng, truth.crops[i], size) for i in chosen]
    boxes = np.array([crop.box for crop in crops], dtype=np.float32).reshape(-1, 4)
    boxes += rng.uniform(-1, 1, boxes.shape).astype(np.float32)
    right = rng.random(len(chosen)) < 0.85
    labels = np.where(right, truth.labels[chosen], rng.integers(0, classes, len(chosen)))
    return boxes, rng.random(len(chosen)).round(2).astype(np.float32), labels, Masks(crops, size)


def objects(rng: np.random.Generator, crops: list[Crop], classes: int, crowds: float) -> Objects:
    return Objects(
        boxes=np.array([crop.box for crop in crops], dtype=np.float32).reshape(-1, 4),
        labels=rng.integers(0, classes, len(crops)),
        crowd=rng.random(len(crops)) < crowds,
        crops=crops,
        ids=np.arange(1, len(crops) + 1),
    )


def simulated(seed: int = 0, crowds: float = 0.1, largest: float = 150) -> list[Image]:
    """Twelve images, the second and the fifth without objects."""
    rng = np.random.default_rng(seed)
    images: list[Image] = []
    for number in range(12):
        size = (int(rng.integers(170, 230)), int(rng.integers(170, 230)))
        count = 0 if number in (1, 4) else int(rng.integers(3, 25))
        crops = [ellipse(rng, size, 4, rng.choice([20, largest])) for _ in range(count)]
        truth = objects(rng, crops, 3, crowds)
        images.append((10 * number, size, truth, *detected(rng, truth, size, 3, 2.0)))
    false_alarm = Masks([ellipse(rng, images[1][1], 10, 40)], images[1][1])
    box = np.array([false_alarm[0].box], dtype=np.float32)
    images[1] = (*images[1][:3], box, np.array([0.99], dtype=np.float32), np.array([0]), false_alarm)
    return images


def ours(images: list[Image], names: tuple[str, ...], max_detections: int) -> CocoMetrics:
    metrics = CocoMetrics(names, max_detections)
    for image in images:
        metrics.update(*image)
    return metrics


def xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = box.astype(float).tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def expected(images: list[Image], names: tuple[str, ...], max_detections: int) -> tuple[dict, dict]:
    """The metrics and the mask AP of each class by pycocotools, its input written from dense masks."""
    content: dict = {
        "info": {},
        "images": [{"id": i, "height": size[0], "width": size[1]} for i, size, *_ in images],
        "annotations": [],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    results: dict = {"box": [], "mask": []}
    for image_id, size, truth, boxes, scores, labels, masks in images:
        for mask, box, label, crowd in zip(
            Masks(truth.crops, size).dense(), truth.boxes, truth.labels, truth.crowd, strict=True
        ):
            entry = {"id": len(content["annotations"]) + 1, "image_id": image_id, "category_id": int(label)}
            entry |= {"iscrowd": int(crowd), "area": int(mask.sum()), "bbox": xywh(box)}
            entry["segmentation"] = truth_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
            content["annotations"].append(entry)
        for mask, box, label, score in zip(masks.dense(), boxes, labels, scores, strict=True):
            entry = {"image_id": image_id, "category_id": int(label), "score": float(score)}
            results["box"].append({**entry, "bbox": xywh(box)})
            rle = truth_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
            results["mask"].append({**entry, "segmentation": rle})
    values, per_class = {}, {}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = content
        coco.createIndex()
        for kind, found in results.items():
            # pycocotools refuses an empty list of results.
            detections = coco.loadRes(found) if found else COCO()
            run = COCOeval(coco, detections, "bbox" if kind == "box" else "segm")
            run.params.maxDets = [max_detections]
            run.evaluate()
            run.accumulate()
            precision = run.eval["precision"][..., 0]
            values |= {f"{kind}_AP": precision[..., 0], f"{kind}_AP50": precision[0, ..., 0]}
            values |= {f"{kind}_AP75": precision[5, ..., 0]}
            values |= {f"{kind}_AP{name}": precision[..., i] for name, i in AREAS.items()}
            per_class = {name: precision[:, :, i, 0] for i, name in enumerate(names)}
    return tuple(
        {key: 100 * p[p > -1].mean() if (p > -1).any() else math.nan for key, p in table.items()}
        for table in (values, per_class)
    )


def check(images: list[Image], names: tuple[str, ...], max_detections: int) -> dict[str, float]:
    metrics = ours(images, names, max_detections)
    computed = metrics.compute()
    values, per_class = expected(images, names, max_detections)
    assert computed.keys() == values.keys()
    assert computed == pytest.approx(values, abs=1e-6, nan_ok=True)
    assert metrics.per_class == pytest.approx(per_class, abs=1e-6, nan_ok=True)
    return computed


@pytest.mark.parametrize("max_detections", [1, 100, 400])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_pycocotools(seed: int, max_detections: int) -> None:
    computed = check(simulated(seed), NAMES, max_detections)
    assert all(0 < value < 100 for value in computed.values())


def test_more_than_100_detections_count_if_asked_for() -> None:
    rng = np.random.default_rng(0)
    size = (300, 300)
    cells = [Crop(np.ones((8, 8), dtype=bool), 20 * column, 20 * row) for row in range(15) for column in range(15)]
    truth = objects(rng, cells, 1, 0)
    scores = np.linspace(1, 0.1, len(cells), dtype=np.float32)
    image = (1, size, truth, truth.boxes, scores, truth.labels, Masks(cells, size))
    assert check([image], ("cell",), 400)["mask_AP"] == pytest.approx(100)
    # 100 of 225 found, none wrong: precision 1 at the recalls 0, 0.01, …, 0.44.
    assert check([image], ("cell",), 100)["mask_AP"] == pytest.approx(100 * 45 / 101)
    assert check([image], ("cell",), 1)["box_AP"] == pytest.approx(100 * 1 / 101)


def test_crowd_truth_is_ignored() -> None:
    images = simulated(2, crowds=0.5)
    check(images, NAMES, 100)
    rng = np.random.default_rng(0)
    region, single = Crop(np.ones((60, 60), dtype=bool), 0, 0), Crop(np.ones((20, 20), dtype=bool), 100, 100)
    truth = objects(rng, [region, single], 1, 0)
    truth = Objects(truth.boxes, truth.labels, np.array([True, False]), truth.crops, truth.ids)
    inside = [Crop(np.ones((10, 10), dtype=bool), x, 5) for x in (0, 20, 40)]
    found = [*inside, single]
    boxes = np.array([crop.box for crop in found], dtype=np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)
    image = (1, (200, 200), truth, boxes, scores, np.zeros(4, dtype=int), Masks(found, (200, 200)))
    computed = check([image], ("a",), 100)
    assert computed["mask_AP"] == computed["box_AP"] == pytest.approx(100)


def test_sizes_without_truth_are_nan() -> None:
    computed = check(simulated(3, crowds=0, largest=25), NAMES, 100)
    assert math.isnan(computed["mask_AP_large"])
    assert not math.isnan(computed["mask_AP_small"])
    assert math.isnan(ours(simulated(0), NAMES, 100).per_class.get("never seen", math.nan))


def without_detections(image: Image) -> Image:
    nothing = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    return (*image[:3], *nothing, Masks([], image[1]))


def test_no_detections_at_all_is_zero_and_no_images_nan() -> None:
    images = [without_detections(image) for image in simulated(0)]
    computed = check(images, NAMES, 100)
    assert set(computed.values()) == {0.0}
    assert all(math.isnan(value) for value in CocoMetrics(NAMES, 100).compute().values())
    empty = [images[1], images[4]]
    assert all(math.isnan(value) for value in check(empty, NAMES, 100).values())


def test_no_masks_leave_the_boxes() -> None:
    images = simulated(0)
    metrics = CocoMetrics(NAMES, 100)
    for image in images:
        metrics.update(*image[:6], None)
    computed = metrics.compute()
    assert computed["box_AP"] == pytest.approx(ours(images, NAMES, 100).compute()["box_AP"])
    assert math.isnan(computed["mask_AP"])
    assert all(map(math.isnan, metrics.per_class.values()))


def test_computing_twice_and_going_on_gives_the_same() -> None:
    images = simulated(0)
    metrics = ours(images[:6], NAMES, 100)
    assert metrics.compute() == pytest.approx(metrics.compute(), nan_ok=True)
    for image in images[6:]:
        metrics.update(*image)
    assert metrics.compute() == pytest.approx(ours(images, NAMES, 100).compute(), nan_ok=True)


def test_wrong_input_is_told() -> None:
    images = simulated(0)
    metrics = ours(images, NAMES, 100)
    with pytest.raises(MaskRCNNError, match="image 0: this image was added before"):
        metrics.update(*images[0])
    with pytest.raises(MaskRCNNError, match=r"image 7: expected as many boxes as scores"):
        metrics.update(7, *images[0][1:4], images[0][4][:-1], *images[0][5:])


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real data beside the repository")
@pytest.mark.parametrize(("name", "step"), [("nuclei", 8), ("coco_mini", 1)])
def test_real_truth_equals_pycocotools(name: str, step: int) -> None:
    rng = np.random.default_rng(0)
    dataset = open_dataset(SHARED / name, "val")
    images: list[Image] = []
    for i in range(0, len(dataset), step):
        record, truth = dataset.records[i], dataset.objects(i)
        size = (record.height, record.width)
        images.append((record.id, size, truth, *detected(rng, truth, size, len(dataset.names), 1.5)))
    check(images, dataset.names, 100)
