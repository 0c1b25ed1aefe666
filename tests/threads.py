"""Two threads that use one predictor at the same time, each with options of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.results.result import Result

IMAGES = 200
_OPTIONS = ({"score": 0.1, "batch_size": 1, "size": 64}, {"score": 0.25, "batch_size": 2, "size": 96})


def pictures(count: int = IMAGES // 2) -> list[np.ndarray]:
    """Noise in blocks of some pixels, a few sizes."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(count):
        blocks = rng.integers(0, 256, (8 + number % 3, 9, 3), dtype=np.uint8)
        images.append(blocks.repeat(6, axis=0).repeat(6, axis=1))
    return images


def check_two_threads(predictor: ImagePredictor, images: list[np.ndarray] | None = None) -> None:
    """Each of two threads gets, to the bit, what one thread alone gets for its options; `IMAGES` images in all."""
    images = images or pictures()
    alone = [_predicted(predictor, images, number) for number in range(2)]
    start = threading.Barrier(2)

    def worker(number: int) -> list[Result]:
        start.wait(60)
        return _predicted(predictor, images, number)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(worker, range(2)))
    for number in range(2):
        assert len(found[number]) == len(images)
        for one, other in zip(alone[number], found[number], strict=True):
            assert_equal(one, other)
    counts = [max(map(len, results)) for results in alone]
    assert counts[0] > counts[1] > 0  # the options make a difference


def _predicted(predictor: ImagePredictor, images: list[np.ndarray], number: int) -> list[Result]:
    most = min(predictor.config.max_detections, 3) - number
    results = []
    for first in range(0, len(images), 5):
        part = images[first : first + 5]
        results += predictor.predict(part, max_detections=most, **_OPTIONS[number])  # type: ignore[arg-type]
    return results


def assert_equal(one: Result, other: Result) -> None:
    """The same objects to the bit."""
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.masks.probs, other.masks.probs)
