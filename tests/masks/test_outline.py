import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import grid_points_in_poly

from maskrcnn.masks import Crop, Masks, rasterise
from maskrcnn.masks.outline import join, outline, polygons

BITMAPS = hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def area(ring: np.ndarray) -> float:
    """Twice the signed area would be the sum; positive is clockwise on the screen."""
    x, y = ring[::2], ring[1::2]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


def test_a_square_and_its_hole_by_hand() -> None:
    bitmap = np.ones((4, 5), dtype=bool)
    bitmap[1:3, 2] = False
    parts, holes = outline(Crop(bitmap, 10, 20))
    assert [ring.tolist() for ring in parts] == [[10, 20, 15, 20, 15, 24, 10, 24]]
    assert [ring.tolist() for ring in holes] == [[12, 21, 13, 21, 13, 23, 12, 23]]
    assert parts[0].dtype == np.float64


def test_pixels_that_meet_in_a_corner_are_two_parts() -> None:
    parts, holes = outline(Crop(np.eye(2, dtype=bool), 0, 0))
    assert sorted(ring.tolist() for ring in parts) == [[0, 0, 1, 0, 1, 1, 0, 1], [1, 1, 2, 1, 2, 2, 1, 2]]
    assert holes == []


def test_a_ring_closed_in_a_corner_has_a_hole() -> None:
    bitmap = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=bool)
    parts, holes = outline(Crop(bitmap, 0, 0))
    assert len(parts) == len(holes) == 1
    assert holes[0].tolist() == [1, 1, 2, 1, 2, 2, 1, 2]


def test_nothing_has_no_outline() -> None:
    assert outline(Crop(np.zeros((3, 3), dtype=bool), 0, 0)) == ([], [])
    assert outline(Crop(np.zeros((0, 0), dtype=bool), 0, 0)) == ([], [])


@settings(max_examples=400, deadline=None)
@given(BITMAPS, st.integers(0, 5), st.integers(0, 5))
def test_rings_are_simple_count_parts_and_holes_and_draw_the_mask(bitmap: np.ndarray, x: int, y: int) -> None:
    size = (bitmap.shape[0] + y + 1, bitmap.shape[1] + x + 2)
    rings = outline(Crop(bitmap, x, y))
    labels, parts = ndimage.label(np.pad(bitmap, 1))
    holes = sum(ndimage.label(labels != number)[1] - 1 for number in range(1, parts + 1))
    assert (len(rings.parts), len(rings.holes)) == (parts, holes)
    for ring in [*rings.parts, *rings.holes]:
        points = ring.reshape(-1, 2)
        steps = np.abs(np.diff(points, axis=0, append=points[:1]))
        assert len({tuple(point) for point in points.tolist()}) == len(points), "a ring touches itself"
        assert (steps.min(axis=1) == 0).all(), "a side is not along the pixels"
        assert (steps.max(axis=1) > 0).all(), "a side has no length"
        assert area(ring) > 0
    assert sum(map(area, rings.parts)) - sum(map(area, rings.holes)) == bitmap.sum()
    expected = np.zeros(size, dtype=bool)
    expected[y : y + bitmap.shape[0], x : x + bitmap.shape[1]] = bitmap
    if parts:
        drawn = [rasterise([join([*rings.parts, *rings.holes])], size)]
        assert (Masks(drawn, size).dense()[0] == expected).all()
    if not holes:
        assert (Masks([rasterise(rings.parts, size)], size).dense()[0] == expected).all()


@settings(max_examples=100, deadline=None)
@given(BITMAPS)
def test_another_drawing_of_the_rings_is_the_mask(bitmap: np.ndarray) -> None:
    drawn = np.zeros(bitmap.shape, dtype=bool)
    for ring in [ring for rings in outline(Crop(bitmap, 0, 0)) for ring in rings]:
        # scikit-image asks for (row, column), and looks at whole numbers where pixels have their centres at halves.
        drawn ^= grid_points_in_poly(bitmap.shape, ring.reshape(-1, 2)[:, ::-1] - 0.5)
    assert (drawn == bitmap).all()


@given(st.integers(1, 5))
def test_joined_rings_visit_every_corner(count: int) -> None:
    rings = [np.array([5.0 * k, 0, 5 * k + 2, 0, 5 * k + 2, 2]) for k in range(count)]
    walk = join(rings).reshape(-1, 2)
    # Each further ring is closed, and its bridge comes back to where it left.
    assert len(walk) == 3 * count + 2 * (count - 1)
    assert {tuple(point) for point in walk} == {tuple(point) for ring in rings for point in ring.reshape(-1, 2)}


def test_a_bridge_goes_the_shortest_way() -> None:
    square, far = np.array([0.0, 0, 4, 0, 4, 4, 0, 4]), np.array([6.0, 1, 8, 1, 8, 3])
    assert join([square, far]).reshape(-1, 2).tolist() == [
        [0, 0], [4, 0], [6, 1], [8, 1], [8, 3], [6, 1], [4, 0], [4, 4], [0, 4],
    ]  # fmt: skip


@pytest.mark.parametrize("side", [1, 7, 40])
def test_a_disc_keeps_its_pixels(side: int) -> None:
    rows, columns = np.mgrid[:side, :side]
    disc = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 <= (side / 2) ** 2
    drawn = rasterise(outline(Crop(disc, 3, 4)).parts, (60, 60))
    assert drawn.area == disc.sum()


@settings(max_examples=300, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.integers(0, 5), st.integers(0, 5))
def test_each_part_is_a_valid_polygon_with_its_holes(bitmap: np.ndarray, x: int, y: int) -> None:
    labels, count = ndimage.label(bitmap)
    found = [
        shapely.Polygon(part.reshape(-1, 2), [r.reshape(-1, 2) for r in holes])
        for part, *holes in polygons(Crop(bitmap, x, y))
    ]
    assert len(found) == count
    rows, columns = np.indices(bitmap.shape)
    centres = shapely.points(columns.ravel() + x + 0.5, rows.ravel() + y + 0.5)
    for polygon in found:
        assert polygon.is_valid
        inside = shapely.contains(polygon, centres).reshape(bitmap.shape)
        (label,) = set(labels[inside].tolist())
        assert (inside == (labels == label)).all()
        assert polygon.area == inside.sum()


def test_an_island_in_a_hole_is_a_polygon_of_its_own() -> None:
    bitmap = np.ones((7, 7), dtype=bool)
    bitmap[1:6, 1:6] = False
    bitmap[3, 3] = True
    (ring, hole), (island,) = polygons(Crop(bitmap, 0, 0))
    assert (area(ring), area(hole), area(island)) == (49, 25, 1)
