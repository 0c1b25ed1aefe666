"""Boundary AP equals a plain computation on whole images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion

from maskrcnn.annotations.objects import Objects
from maskrcnn.evaluation.analysis import analyse_tables
from maskrcnn.evaluation.boundary_iou import band, band_width
from maskrcnn.evaluation.evaluated_image import EvaluatedImage
from maskrcnn.evaluation.tables import TableBuilder, Tables
from maskrcnn.masks import Crop, Masks

CLASSES = 3


def dense(crop: Crop, size: tuple[int, int]) -> np.ndarray:
    return Masks([crop], size).dense()[0]


def dense_band(mask: np.ndarray, width: int) -> np.ndarray:
    """As boundary-iou-api: erode a copy padded with zeros by a 3 x 3 square, `width` times."""
    inner = binary_erosion(np.pad(mask, 1), np.ones((3, 3)), iterations=width)[1:-1, 1:-1]
    return mask & ~inner


def overlap(found: np.ndarray, truth: np.ndarray, crowd: bool) -> float:
    union = found.sum() if crowd else (found | truth).sum()
    return (found & truth).sum() / union if union else 0.0


def plain_overlaps(sample: EvaluatedImage) -> np.ndarray:
    """[N, M] of one image: the smaller of mask IoU and boundary IoU; of a crowd the share that it covers."""
    width = max(1, round(0.02 * np.sqrt(sample.size[0] ** 2 + sample.size[1] ** 2)))
    found = [dense(crop, sample.size) for crop in sample.masks]
    truth = [dense(crop, sample.size) for crop in sample.truth.crops]
    values = np.zeros((len(found), len(truth)))
    for i, mask in enumerate(found):
        for j, other in enumerate(truth):
            crowd = bool(sample.truth.crowd[j])
            values[i, j] = overlap(mask, other, crowd)
            if not crowd:
                bands = dense_band(mask, width), dense_band(other, width)
                values[i, j] = min(values[i, j], overlap(*bands, crowd=False))
    return values


def plain_precision(samples: list[EvaluatedImage], overlaps: list[np.ndarray], label: int, threshold: float) -> float:
    """AP of one class at one IoU by the book, NaN without objects."""
    rows, objects = [], 0
    for sample, values in zip(samples, overlaps, strict=True):
        wanted = np.flatnonzero(sample.truth.labels == label)
        crowd = sample.truth.crowd
        objects += int((~crowd[wanted]).sum())
        taken: set[int] = set()
        own = np.flatnonzero(sample.labels == label)
        for i in own[np.argsort(-sample.scores[own].astype(float), kind="stable")]:
            free = [j for j in wanted if not crowd[j] and j not in taken and values[i, j] >= threshold - 1e-12]
            if free:
                taken.add(max(free, key=lambda j: (values[i, j], j)))
                rows.append((float(sample.scores[i]), True))
            elif not any(crowd[j] and values[i, j] >= threshold - 1e-12 for j in wanted):
                rows.append((float(sample.scores[i]), False))
    if not objects:
        return float("nan")
    rows.sort(key=lambda row: -row[0])
    right = np.cumsum([correct for _, correct in rows])
    precision = right / np.arange(1, len(rows) + 1)
    recall = right / objects
    return float(np.mean([max(precision[recall >= point], default=0.0) for point in np.linspace(0, 1, 101)]))


def gathered(samples: list[EvaluatedImage]) -> Tables:
    builder = TableBuilder([str(k) for k in range(CLASSES)])
    for sample in samples:
        builder.update(sample)
    return builder.tables()


@pytest.mark.parametrize("seed", [0, 5])
def test_boundary_ap_equals_a_plain_computation(simulate: Callable[..., list[EvaluatedImage]], seed: int) -> None:
    samples = simulate(seed, images=7, crowds=0.15, shift=0.06, cut=0.1, rate=1.5)
    analysis = analyse_tables(gathered(samples), 100)
    overlaps = [plain_overlaps(sample) for sample in samples]
    expected = np.array(
        [
            [plain_precision(samples, overlaps, label, iou) for label in range(CLASSES)]
            for iou in np.linspace(0.5, 0.95, 10)
        ]
    )
    assert analysis.boundary == pytest.approx(expected * 100, abs=1e-6, nan_ok=True)
    assert analysis.metrics()["boundary_AP"] == pytest.approx(np.nanmean(expected) * 100, abs=1e-6)
    assert 1 < np.nanmean(expected) * 100 < 95


def test_an_object_without_a_mask_is_a_region(label: Callable[..., Objects]) -> None:
    square, region = Crop(np.ones((30, 30), dtype=bool), 5, 5), Crop(np.ones((20, 20), dtype=bool), 60, 60)
    truth = label([square, region], [0, 0])
    truth = dataclasses.replace(truth, crops=[square, None])
    found = Masks([square, region], (100, 100))
    sample = EvaluatedImage(1, (100, 100), truth, truth.boxes, np.array([0.5, 0.9]), np.array([0, 0]), found)
    assert analyse_tables(gathered([sample]), 100).metrics()["boundary_AP"] == pytest.approx(100)


def test_a_coarse_outline_costs_boundary_more_than_mask(label: Callable[..., Objects]) -> None:
    exact = np.ones((200, 200), dtype=bool)
    coarse = exact.copy()
    coarse[::2, :6] = coarse[::2, -6:] = coarse[:6, ::2] = coarse[-6:, ::2] = False
    truth = label([Crop(exact, 20, 20)], [0])
    found = Masks([Crop(coarse, 20, 20)], (240, 240))
    sample = EvaluatedImage(1, (240, 240), truth, truth.boxes, np.array([0.9]), np.array([0]), found)
    pair = gathered([sample]).pairs[0]
    assert pair["mask"] > 0.93
    assert pair["boundary"] < 0.75


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.tuples(st.integers(5, 40), st.integers(5, 40)))
def test_the_band_in_a_crop_is_that_in_the_image(seed: int, width: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    h, w = int(rng.integers(1, size[0] + 1)), int(rng.integers(1, size[1] + 1))
    crop = Crop(rng.random((h, w)) < 0.9, int(rng.integers(0, size[1] - w + 1)), int(rng.integers(0, size[0] - h + 1)))
    assert np.array_equal(dense(band(crop, width), size), dense_band(dense(crop, size), width))


def test_the_band_is_two_percent_of_the_diagonal() -> None:
    assert band_width((480, 640)) == 16
    assert band_width((10, 10)) == 1
