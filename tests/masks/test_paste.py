import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import grid_sample, interpolate
from torchvision.models.detection.roi_heads import paste_masks_in_image

from maskrcnn.masks import Masks, paste_mask

SIZE = (41, 57)


def smooth_probs(count: int, cells: int, seed: int) -> np.ndarray:
    noise = torch.randn(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    smooth = interpolate(noise, (cells, cells), mode="bicubic", align_corners=True)
    return torch.sigmoid(4 * smooth)[:, 0].numpy()


def random_boxes(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = rng.uniform((-15, -15), (SIZE[1] + 5, SIZE[0] + 5), (count, 2))
    return np.concatenate([start, start + rng.uniform(0.4, 60, (count, 2))], axis=1).astype(np.float32)


def sampled_by_definition(prob: np.ndarray, box: np.ndarray, x: float, y: float) -> float:
    """The probability at one point of the image, cell by cell."""
    cells = len(prob)
    column = (x - box[0]) / (box[2] - box[0]) * cells - 0.5
    row = (y - box[1]) / (box[3] - box[1]) * cells - 0.5
    total = 0.0
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < cells and 0 <= j < cells:
                total += prob[i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return total


@pytest.mark.parametrize("cells", [7, 14, 28])
@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_equals_a_loop_over_the_pixels(cells: int, threshold: float) -> None:
    probs, boxes = smooth_probs(6, cells, seed=cells), random_boxes(6, seed=cells).astype(np.float64)
    masks = Masks([paste_mask(p, b, SIZE, threshold) for p, b in zip(probs, boxes, strict=True)], SIZE).dense()
    for mask, prob, box in zip(masks, probs, boxes, strict=True):
        exact = np.array(
            [[sampled_by_definition(prob, box, x + 0.5, y + 0.5) for x in range(SIZE[1])] for y in range(SIZE[0])]
        )
        clear = np.abs(exact - threshold) > 1e-4
        assert ((exact >= threshold) == mask)[clear].all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_equals_grid_sample(seed: int) -> None:
    probs, boxes = smooth_probs(8, 28, seed), random_boxes(8, seed).astype(np.float64)
    masks = Masks([paste_mask(p, b, SIZE) for p, b in zip(probs, boxes, strict=True)], SIZE).dense()
    frame = torch.from_numpy(boxes)
    x = (torch.arange(SIZE[1]) + 0.5 - frame[:, :1]) / (frame[:, 2:3] - frame[:, :1]) * 2 - 1
    y = (torch.arange(SIZE[0]) + 0.5 - frame[:, 1:2]) / (frame[:, 3:] - frame[:, 1:2]) * 2 - 1
    grid = torch.stack(
        [x[:, None, :].expand(-1, SIZE[0], -1), y[:, :, None].expand(-1, -1, SIZE[1])],
        dim=-1,
    )
    exact = grid_sample(torch.from_numpy(probs)[:, None].double(), grid, padding_mode="zeros", align_corners=False)
    exact = exact[:, 0].numpy()
    clear = np.abs(exact - 0.5) > 1e-4
    assert ((exact >= 0.5) == masks)[clear].all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([14, 28]))
def test_quantized_equals_torchvision(seed: int, cells: int) -> None:
    probs, boxes = smooth_probs(10, cells, seed), random_boxes(10, seed)
    # torchvision clips boxes to the image before it pastes, and fails on those outside.
    boxes = boxes.clip(0, np.array([SIZE[1], SIZE[0]] * 2, dtype=np.float32))
    expected = paste_masks_in_image(torch.from_numpy(probs)[:, None], torch.from_numpy(boxes), SIZE)[:, 0].numpy()
    masks = Masks.from_probs(probs, boxes, SIZE, quantize=True).dense()
    clear = np.abs(expected - 0.5) > 1e-4
    assert clear.mean() > 0.99
    assert ((expected > 0.5) == masks)[clear].all()


def test_every_cell_fills_its_own_pixel() -> None:
    prob = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    crop = paste_mask(prob, (10, 5, 38, 33), (60, 70))
    mask = Masks([crop], (60, 70)).dense()[0]
    assert (mask[5:33, 10:38] == (prob >= 0.5)).all()
    assert mask.sum() == (prob >= 0.5).sum()


def test_only_the_pixels_of_the_box_are_computed() -> None:
    crop = paste_mask(np.ones((28, 28), dtype=np.float32), (1000, 2000, 1028, 2056), (10_000, 10_000))
    assert crop.bitmap.size < 40 * 70
    assert crop.box == (1000.0, 2000.0, 1028.0, 2056.0)


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize(
    "box", [(-90, 5, -20, 20), (200, 5, 300, 20), (5, -90, 20, -30), (0, 0, np.inf, 5), (np.nan, 0, 4, 4)]
)
def test_a_box_outside_or_broken_is_an_empty_mask(box: tuple, quantize: bool) -> None:
    crop = paste_mask(np.ones((28, 28), dtype=np.float32), box, SIZE, quantize=quantize)
    assert crop.area == 0
    assert crop.box == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (5, 9, 8, 9)])
def test_a_box_without_area_is_an_empty_mask(box: tuple) -> None:
    assert paste_mask(np.ones((28, 28), dtype=np.float32), box, SIZE).area == 0


def test_a_huge_box_is_clipped() -> None:
    crop = paste_mask(np.ones((28, 28), dtype=np.float32), (-1e7, -1e7, 1e7, 1e7), SIZE)
    assert crop.area == SIZE[0] * SIZE[1]
