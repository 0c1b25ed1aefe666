"""Tiles cover the region, overlap enough, and know what lies near their seams."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.errors import MaskRCNNError
from maskrcnn.rasters.region import Region
from maskrcnn.tiling.tile_grid import TileGrid


@settings(deadline=None)
@given(
    x=st.integers(0, 50),
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    tile=st.integers(8, 150),
    data=st.data(),
)
def test_tiles_cover_the_region_and_overlap(x, width, height, tile, data):
    step = data.draw(st.integers(1, max(tile // 3, 1)))
    overlap = data.draw(st.integers(0, tile - 2 * step + 1))
    grid = TileGrid(Region(x, 7, width, height), (tile, tile), overlap, step)
    assert len(grid) == len(grid.tops) * len(grid.lefts)
    assert all(0 <= min(tile, length) - own < step for own, length in zip(grid.size, (height, width), strict=True))
    for starts, first, length, size in ((grid.lefts, x, width, grid.size[1]), (grid.tops, 7, height, grid.size[0])):
        assert starts[0] == first
        assert starts[-1] + size == first + length
        assert all((start - first) % step == 0 for start in starts)
        assert all(overlap <= a + size - b < size for a, b in pairwise(starts))
    numbers = [(grid[k].row, grid[k].column) for k in range(len(grid))]
    assert numbers == [*np.ndindex(len(grid.tops), len(grid.lefts))]
    with pytest.raises(IndexError):
        grid[len(grid)]


def test_reach_is_the_distance_from_seams_alone():
    grid = TileGrid(Region(0, 0, 100, 60), (60, 60), 20)  # two tiles, at 0 and 40
    boxes = np.array([[0.0, 0, 10, 60], [30, 5, 55, 20], [50, 0, 60, 10], [55, 0, 70, 10]])
    assert grid.reach(grid[0], boxes).tolist() == [50, 5, 0, -10]
    assert grid.reach(grid[1], boxes).tolist() == [-40, -10, 10, 15]
    assert grid.overlapping(boxes[0]) == [0]
    assert grid.overlapping(np.array([39.0, 0, 40, 5])) == [0]
    assert grid.overlapping(boxes[1]) == [0, 1]
    assert grid.overlapping(np.array([200.0, 0, 210, 5])) == []


@pytest.mark.parametrize(("tile", "overlap"), [((0, 5), 0), ((5, 5), 5), ((5, 9), -1)])
def test_impossible_tiles_are_refused(tile, overlap):
    with pytest.raises(MaskRCNNError, match="expected tiles larger than their overlap"):
        TileGrid(Region(0, 0, 10, 10), tile, overlap)
