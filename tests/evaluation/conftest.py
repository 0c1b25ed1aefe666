"""Simulated images for tests of the metrics: drawn labels, and detections made from them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from maskrcnn.annotations.objects import Objects
from maskrcnn.config import preset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.inference.predictor import Predictor
from maskrcnn.masks import Crop, Masks
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.results.result import Result


def _load(name: str) -> ModuleType:
    """A file of benchmarks/, which is no package."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


Simulation = _load("simulate").Simulation


def ellipse(rng: np.random.Generator, size: tuple[int, int], low: float, high: float) -> Crop:
    height, width = (int(side) for side in rng.uniform(low, high, 2))
    y, x = np.mgrid[:height, :width]
    bitmap = ((y + 0.5) / height * 2 - 1) ** 2 + ((x + 0.5) / width * 2 - 1) ** 2 <= 1
    return Crop(bitmap, int(rng.integers(0, size[1] - width)), int(rng.integers(0, size[0] - height)))


def labelled(crops: list[Crop], labels: np.ndarray, crowd: np.ndarray | None = None) -> Objects:
    return Objects(
        boxes=np.array([crop.box for crop in crops], dtype=np.float32).reshape(-1, 4),
        labels=np.asarray(labels, dtype=np.int64),
        crowd=np.zeros(len(crops), dtype=bool) if crowd is None else np.asarray(crowd, dtype=bool),
        crops=crops,
        ids=np.arange(1, len(crops) + 1),
    )


def simulated(
    seed: int = 0, crowds: float = 0.1, largest: float = 150, images: int = 12, classes: int = 3, **changes: float
) -> list[EvaluatedImage]:
    """Images of which the second and the fifth have no objects; the second has one false alarm."""
    rng, simulation = np.random.default_rng(seed), Simulation(**changes)
    samples = []
    for number in range(images):
        size = (int(rng.integers(170, 230)), int(rng.integers(170, 230)))
        count = 0 if number in (1, 4) else int(rng.integers(3, 25))
        crops = [ellipse(rng, size, 4, rng.choice([20, largest])) for _ in range(count)]
        truth = labelled(crops, rng.integers(0, classes, count), rng.random(count) < crowds)
        samples.append(simulation.sample(rng, 10 * number, size, truth, classes))
    empty = samples[1]
    alarm = Masks([ellipse(rng, empty.size, 10, 40)], empty.size)
    box = np.array([alarm[0].box], dtype=np.float32)
    samples[1] = EvaluatedImage(10, empty.size, empty.truth, box, np.array([0.99], np.float32), np.array([0]), alarm)
    return samples


class Oracle(Predictor):
    """Answers each image with its labels of the classes that it knows.

    Args:
        first: what happens to the first object of each image: "missed", "misnamed" or "doubled".
        change: what becomes of each answer.
    """

    def __init__(
        self,
        data: Path,
        names: tuple[str, ...],
        first: str = "",
        change: Callable[[Result], Result] = lambda found: found,
    ) -> None:
        config = preset("lite").replace(backbone="resnet18", box_hidden=(8,), max_detections=9)
        super().__init__(MaskRCNN(config, names), "cpu", "fp32")
        self.data, self.first, self.change = open_dataset(data, "val"), first, change
        self.limits: list[int] = []

    def stream(self, images, score=0.5, batch_size=None, *, size=None, max_detections=None):  # type: ignore[no-untyped-def]
        self.limits.append(max_detections)
        for image in images:
            try:
                yield self.change(self._answer(image()))
            except MaskRCNNError as error:
                yield error

    def _answer(self, image: np.ndarray) -> Result:
        index = next(i for i in range(len(self.data)) if np.array_equal(self.data.pixels(i), image))
        objects = self.data.objects(index)
        rows = np.flatnonzero([self.data.names[label] in self.names for label in objects.labels])
        rows = {"missed": rows[1:], "doubled": np.append(rows, 0)}.get(self.first, rows)
        names = [self.data.names[label] for label in objects.labels[rows]]
        labels = np.array([self.names.index(name) for name in names], dtype=np.int64)
        if self.first == "misnamed":
            labels[0] = (labels[0] + 1) % len(self.names)
        size = image.shape[:2]
        scores = np.linspace(0.9, 0.5, len(labels), dtype=np.float32)
        masks = Masks([objects.crops[row] for row in rows], size)
        return Result(objects.boxes[rows], scores, labels, masks, self.names, size, image)


@pytest.fixture(scope="session")
def oracle() -> type[Oracle]:
    return Oracle


@pytest.fixture(scope="session")
def simulate() -> Callable[..., list[EvaluatedImage]]:
    return simulated


@pytest.fixture(scope="session")
def label() -> Callable[..., Objects]:
    return labelled


@pytest.fixture(scope="session")
def simulation() -> type:
    return Simulation
