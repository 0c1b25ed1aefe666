"""The bootstrap over images: every draw's AP equals the AP of a data set made of those images, counted anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from maskrcnn.evaluation.coco_metrics import CocoMetrics
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.image_resampling import LEAST_IMAGES, ImageResampling
from maskrcnn.evaluation.tables import TableBuilder, Tables

NAMES = ("cat", "dog", "bird")
Simulate = Callable[..., list[EvaluatedImage]]


def tables_of(samples: list[EvaluatedImage]) -> Tables:
    builder = TableBuilder(NAMES)
    for sample in samples:
        builder.update(sample)
    return builder.tables()


def test_a_draw_counts_as_the_data_set_of_its_images_does(simulate: Simulate) -> None:
    samples = simulate(1, digits=9)
    counts = np.random.default_rng(0).multinomial(len(samples), np.full(len(samples), 1 / len(samples)), 6)
    counts[0] = 1
    values = ImageResampling(tables_of(samples), "mask").ap(counts)
    for row, value in zip(counts, values.tolist(), strict=True):
        metrics = CocoMetrics(NAMES, 100)
        drawn = [sample for sample, times in zip(samples, row.tolist(), strict=True) for _ in range(times)]
        for number, sample in enumerate(drawn):
            metrics.update(dataclasses.replace(sample, image_id=number))
        assert value == pytest.approx(metrics.compute()["mask_AP"], abs=1e-9)


def test_more_images_make_it_narrower(simulate: Simulate) -> None:
    few, many = (ImageResampling(tables_of(simulate(0, images=n)), "mask").interval() for n in (8, 64))
    assert few is not None
    assert many is not None
    assert many.half < 0.6 * few.half


def test_it_is_unknown_for_one_image_or_without_objects(simulate: Simulate) -> None:
    samples = simulate(0)
    assert ImageResampling(tables_of(samples[:1]), "mask").interval() is None
    empty = [dataclasses.replace(samples[1], image_id=number) for number in range(2 * LEAST_IMAGES)]
    assert ImageResampling(tables_of(empty), "mask").interval() is None
