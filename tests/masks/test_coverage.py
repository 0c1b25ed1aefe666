"""Coverage against 12 x 12 points in every cell, each asked for by the even-odd rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Curve

from maskrcnn.masks import coverage as module
from maskrcnn.masks import rasterise
from maskrcnn.masks.coverage import Polygons, coverage_patches

FINE = 12


def table(objects: list[list[np.ndarray]]) -> Polygons:
    """Objects as lists of polygons [P, 2]."""
    flat = [polygon for polygons in objects for polygon in polygons]
    lengths = np.array([len(polygon) for polygon in flat], dtype=np.int64)
    points = np.concatenate(flat) if flat else np.zeros((0, 2))
    owner = np.repeat(np.arange(len(objects)), [len(polygons) for polygons in objects])
    return Polygons(points, np.cumsum(lengths) - lengths, owner)


def by_points(polygons: list[np.ndarray], frame: np.ndarray, size: np.ndarray) -> np.ndarray:
    """float [h, w]: the share of each cell's points that lie in one of the polygons."""
    (h, w), (x1, y1, x2, y2) = size, frame
    x = x1 + (np.arange(w * FINE) + 0.5) * (x2 - x1) / (w * FINE)
    y = y1 + (np.arange(h * FINE) + 0.5) * (y2 - y1) / (h * FINE)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    inside = np.zeros(len(points), dtype=bool)
    for polygon in polygons:
        inside |= Curve(np.concatenate((polygon, polygon[:1]))).contains_points(points)
    return inside.reshape(h, FINE, w, FINE).mean((1, 3))


@st.composite
def stars(draw: st.DrawFn) -> np.ndarray:
    """A star-shaped polygon around a point, either way round: it never crosses itself."""
    corners = draw(st.integers(3, 9))
    turns = (np.arange(corners) + draw(st.floats(0, 0.6)) * np.sin(np.arange(corners))) * 2 * np.pi / corners
    radii = np.array(draw(st.lists(st.floats(2, 20), min_size=corners, max_size=corners)))
    centre = np.array([draw(st.floats(-5, 35)), draw(st.floats(-5, 35))])
    polygon = centre + radii[:, None] * np.stack((np.cos(turns), np.sin(turns)), axis=1)
    return polygon[:: draw(st.sampled_from([1, -1]))]


@st.composite
def frames(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    x, y, w, h = (draw(st.floats(low, high)) for low, high in ((-5, 15), (-5, 15), (2, 40), (2, 40)))
    return np.array([x, y, x + w, y + h]), np.array([draw(st.integers(1, 20)), draw(st.integers(1, 20))])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(stars(), frames()), min_size=1, max_size=4))
def test_coverage_is_the_share_of_points_inside(
    objects: list[tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]],
) -> None:
    """Polygons that reach beyond their frames on any side included."""
    polygons = table([[star] for star, _ in objects])
    bounds, sizes = (np.stack([frame[part] for _, frame in objects]) for part in (0, 1))
    for patch, (star, (frame, size)) in zip(coverage_patches(polygons, bounds, sizes), objects, strict=True):
        assert patch.dtype == np.uint8
        assert patch.shape == tuple(size)
        # Points miss the truth by about one in twelve along an edge that crosses a cell, this way or that.
        wrong = patch / 255 - by_points([star], frame, size)
        assert np.abs(wrong).max() <= 0.15
        assert abs(wrong.mean()) <= 0.01 + 0.1 / np.sqrt(wrong.size)


@settings(max_examples=40, deadline=None)
@given(stars(), st.integers(1, 60), st.integers(1, 60))
def test_the_cells_add_up_to_the_area(star: np.ndarray, rows: int, columns: int) -> None:
    """Within half of a 255th of each cell that the outline may cross."""
    low, high = star.min(axis=0) - 0.5, star.max(axis=0) + 0.5
    (patch,) = coverage_patches(table([[star]]), np.array([[*low, *high]]), np.array([[rows, columns]]))
    cell = float((high - low).prod()) / (rows * columns)
    area = float(table([[star]]).areas[0])
    crossed = int(((patch > 0) & (patch < 255)).sum()) + 8
    assert abs(patch.sum() / 255 * cell - area) <= 0.5 / 255 * cell * crossed + 1e-6


def test_whole_pixels_are_exact() -> None:
    square = np.array([[2, 3], [7, 3], [7, 6], [2, 6]], dtype=np.float64)
    (patch,) = coverage_patches(table([[square]]), np.array([[0, 0, 10, 10]]), np.array([[10, 10]]))
    expected = np.zeros((10, 10))
    expected[3:6, 2:7] = 255
    assert (patch == expected).all()


def test_a_share_of_a_pixel_is_its_area() -> None:
    """A triangle of half a cell, a square of a quarter, and both with the other orientation."""
    triangle = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float64)
    square = np.array([[1.25, 0.25], [1.75, 0.25], [1.75, 0.75], [1.25, 0.75]])
    for shapes in ([triangle, square], [triangle[::-1], square[::-1]]):
        (patch,) = coverage_patches(table([shapes]), np.array([[0, 0, 2, 1]]), np.array([[1, 2]]))
        assert patch.tolist() == [[128, 64]]


def test_parts_are_united_and_crossings_are_even_odd() -> None:
    """Two squares that overlap; and one outline that runs around a square twice, which leaves nothing."""
    first = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], dtype=np.float64)
    frame, size = np.array([[0, 0, 8, 8]]), np.array([[8, 8]])
    (united,) = coverage_patches(table([[first, first[::-1] + 2]]), frame, size)
    assert (united == 255).sum() == 16 + 16 - 4
    (twice,) = coverage_patches(table([[np.concatenate((first, first))]]), frame, size)
    assert not twice.any()
    hole = np.concatenate((first, first[:1], first[:1] + 1, (first * 0.5 + 1)[::-1]))
    (ring,) = coverage_patches(table([[hole]]), frame, size)
    assert (ring == 255).sum() == 16 - 4


@settings(max_examples=25, deadline=None)
@given(stars())
def test_it_agrees_with_the_coco_tools(star: np.ndarray) -> None:
    """They draw whole pixels, of outlines rounded to a fifth of a pixel."""
    star = np.clip(star * 2, 0, 80)
    crop = rasterise([star.flatten()], (80, 80))
    (patch,) = coverage_patches(table([[star]]), np.array([[0, 0, 80, 80]]), np.array([[80, 80]]))
    drawn = np.zeros((80, 80), dtype=bool)
    drawn[crop.y : crop.y + crop.bitmap.shape[0], crop.x : crop.x + crop.bitmap.shape[1]] = crop.bitmap
    outline = (patch > 0) & (patch < 255)
    grown = outline.copy()
    for axis in (0, 1):
        grown |= np.roll(grown, 1, axis) | np.roll(grown, -1, axis)
    assert (drawn == (patch > 127))[~grown].all()


def test_what_lies_outside_its_frame_or_has_no_area() -> None:
    far = np.array([[50, 50], [60, 50], [60, 60]], dtype=np.float64)
    line = np.array([[0, 0], [5, 5], [2, 2]], dtype=np.float64)
    around = np.array([[-9, -9], [99, -9], [99, 99], [-9, 99]], dtype=np.float64)
    patches = coverage_patches(
        table([[far], [line], [around], [far - 70]]), np.tile([0, 0, 8, 8], (4, 1)), np.full((4, 2), 8)
    )
    assert [int(patch.max()) for patch in patches] == [0, 0, 255, 0]
    assert patches[2].min() == 255


def test_objects_without_polygons_have_empty_patches() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], dtype=np.float64)
    patches = coverage_patches(table([[], [square], []]), np.tile([0, 0, 4, 4], (3, 1)), np.full((3, 2), 4))
    assert [int(patch.sum()) for patch in patches] == [0, 16 * 255, 0]
    assert coverage_patches(table([]), np.zeros((0, 4)), np.zeros((0, 2), dtype=np.int64)) == []


def test_portions_and_company_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: the same object alone, among others, and with little memory."""
    rng = np.random.default_rng(0)
    objects = [[rng.uniform(0, 60, (7, 2))] for _ in range(40)]
    bounds, sizes = np.tile([0.0, 0, 60, 60], (40, 1)), rng.integers(20, 90, (40, 2))
    together = coverage_patches(table(objects), bounds, sizes)
    monkeypatch.setattr(module, "CELL_BUDGET", 10_000)
    apart = coverage_patches(table(objects), bounds, sizes)
    for k, (one, other) in enumerate(zip(together, apart, strict=True)):
        assert np.array_equal(one, other)
        assert np.array_equal(one, coverage_patches(table(objects[k : k + 1]), bounds[k : k + 1], sizes[k : k + 1])[0])


def test_tables_are_chosen_from_and_joined() -> None:
    rng = np.random.default_rng(1)
    objects = [[rng.uniform(0, 9, (3 + part, 2)) for part in range(k)] for k in (1, 2, 0, 3)]
    polygons = table(objects)
    chosen, expected = polygons.of(np.array([1, 2, 3])), table(objects[1:])
    for name in ("points", "starts", "owner"):
        assert np.array_equal(getattr(chosen, name), getattr(expected, name)), name
    rest = table(objects[1:])
    joined = Polygons.concatenate([table(objects[:1]), Polygons(rest.points, rest.starts, rest.owner + 1)])
    for name in ("points", "starts", "owner"):
        assert np.array_equal(getattr(joined, name), getattr(polygons, name)), name


def test_bounds_and_areas() -> None:
    square = np.array([[1, 2], [4, 2], [4, 8], [1, 8]], dtype=np.float64)
    polygons = table([[square], [square[::-1] + 5, square * 0.5]])
    assert polygons.bounds.tolist() == [[1, 2, 4, 8], [6, 7, 9, 13], [0.5, 1, 2, 4]]
    assert polygons.areas.tolist() == [18, 18, 4.5]
