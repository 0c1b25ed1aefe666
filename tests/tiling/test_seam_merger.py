"""What tiles saw of objects, merged, is what an untiled view shows.

An ideal network sees of each object the part that lies in its tile. Then the merged objects are those of the image, to
the pixel. With edges that jitter, half-seen objects and ghosts near seams they are the same objects.
"""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from maskrcnn.masks.crop import Crop, crop_iou, crop_of
from maskrcnn.rasters.region import Region
from maskrcnn.tiling.found_object import FoundObject
from maskrcnn.tiling.seam_merger import SeamMerger
from maskrcnn.tiling.tile_grid import Tile, TileGrid


def found(crop: Crop, label: int = 0, score: float = 0.9) -> FoundObject:
    return FoundObject(crop, np.array(crop.box), score, label)


def seen_in(tile: Tile, image: np.ndarray, labels: dict[int, int] | None = None) -> list[FoundObject]:
    """What an ideal network sees: of each object of a label image, the connected parts in the tile, largest alone."""
    x, y, width, height = tile.region
    window = image[y : y + height, x : x + width]
    objects = []
    for value, place in enumerate(ndimage.find_objects(window), 1):
        if place is not None:
            bitmap = window[place] == value
            crop = Crop(bitmap, x + place[1].start, y + place[0].start)
            objects.append(found(crop, (labels or {}).get(value, 0)))
    return objects


def merged(image: np.ndarray, tile: int, overlap: int, margin: float, see=seen_in) -> list[FoundObject]:
    grid = TileGrid(Region(0, 0, image.shape[1], image.shape[0]), (tile, tile), overlap)
    merger = SeamMerger(grid, margin)
    objects = []
    for number in range(len(grid)):
        objects += merger.add(grid[number], see(grid[number], image))
    return [*objects, *merger.finish()]


def painted(objects: list[FoundObject], size: tuple[int, int]) -> np.ndarray:
    canvas = np.zeros(size, dtype=np.int64)
    for number, one in enumerate(objects, 1):
        height, width = one.crop.bitmap.shape
        window = canvas[one.crop.y : one.crop.y + height, one.crop.x : one.crop.x + width]
        assert not window[one.crop.bitmap].any(), "two objects overlap"
        window[one.crop.bitmap] = number
    return canvas


def same_objects(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two label images show the same objects, whatever their numbers."""
    pairs = {*zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)}
    return len(pairs) == len({x for x, _ in pairs}) == len({y for _, y in pairs})


def blobs(seed: int, side: int, scale: float) -> np.ndarray:
    """Touching blobs of one connected piece each, about ``scale`` pixels wide, as a label image."""
    rng = np.random.default_rng(seed)
    seeds = rng.integers(0, side, (max(int((side / scale) ** 2), 1), 2))
    marks = np.full((side, side), True)
    marks[seeds[:, 0], seeds[:, 1]] = False
    nearest = ndimage.distance_transform_edt(marks, return_indices=True)
    numbers = np.zeros((side, side), dtype=np.int64)
    numbers[seeds[:, 0], seeds[:, 1]] = np.arange(1, len(seeds) + 1)
    image = numbers[tuple(nearest[1])] * (nearest[0] < scale * 0.6)
    pieces = np.zeros_like(image)
    for value, place in enumerate(ndimage.find_objects(image), 1):
        if place is not None:
            parts, count = ndimage.label(image[place] == value)
            sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
            pieces[place][parts == int(np.argmax(sizes)) + 1] = value
    return pieces


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 1000),
    side=st.integers(40, 110),
    tile=st.integers(32, 80),
    scale=st.floats(6, 20),
    margin=st.integers(1, 4),
)
def test_ideal_views_give_the_objects_to_the_pixel(seed, side, tile, scale, margin):
    image = blobs(seed, side, scale)
    objects = merged(image, tile, overlap=int(min(scale * 1.3 + 2 * margin + 2, tile - 1)), margin=margin)
    assert same_objects(painted(objects, image.shape), image)


@pytest.mark.parametrize("tile", [40, 64])
def test_an_object_of_many_tiles_is_one(tile):
    image = np.zeros((200, 200), dtype=np.int64)
    image[20:180, 90:110] = 1  # a bar over several tiles
    image[95:105, 10:190] = 1
    image[10:16, 10:16] = 2
    yy, xx = np.mgrid[:200, :200]
    image[(np.abs(np.hypot(yy - 100, xx - 100) - 85) < 6) & (image == 0)] = 3
    objects = merged(image, tile, overlap=16, margin=4)
    assert same_objects(painted(objects, image.shape), image)
    assert [one.label for one in objects] == [0, 0, 0]


class Jitter:
    """A seeded network: edges that move by a pixel, parts near seams that are lost, small or ghosts."""

    def __init__(self, grid_side: int, near: int, seed: int) -> None:
        self.side, self.near, self.seed = grid_side, near, seed

    def __call__(self, tile: Tile, image: np.ndarray) -> list[FoundObject]:
        rng = np.random.default_rng([self.seed, tile.index])
        x, y, width, height = tile.region
        inner = np.zeros((height, width), dtype=bool)
        left, top = self.near * (x > 0), self.near * (y > 0)
        right, bottom = self.near * (x + width < self.side), self.near * (y + height < self.side)
        inner[top : height - bottom, left : width - right] = True
        objects = []
        for one in seen_in(tile, image):
            canvas = np.zeros((height + 2, width + 2), dtype=bool)
            r, c = one.crop.y - y + 1, one.crop.x - x + 1
            canvas[r : r + one.crop.bitmap.shape[0], c : c + one.crop.bitmap.shape[1]] = one.crop.bitmap
            edge = ndimage.binary_dilation(canvas) & ~canvas
            mask = (canvas | (edge & (rng.random(edge.shape) < 0.2)))[1:-1, 1:-1]
            mask &= inner | (rng.random() < 0.7)  # what lies near a seam is lost, or seen
            if mask.any():
                crop = crop_of(mask)
                objects.append(found(Crop(crop.bitmap, crop.x + x, crop.y + y), score=float(rng.uniform(0.5, 1))))
        if left:  # a ghost at the seam
            objects.append(found(Crop(np.ones((5, 3), dtype=bool), x + 1, y + height // 2), score=0.5))
        return objects


def grid_of_cells(side: int, step: int, radius: int, seed: int) -> np.ndarray:
    """Ellipses on a grid, each moved a bit: a label image."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side), dtype=np.int64)
    yy, xx = np.mgrid[:side, :side]
    for number, (y, x) in enumerate(np.ndindex(side // step, side // step), 1):
        cy, cx = (np.array([y, x]) + 0.5) * step + rng.uniform(-2, 2, 2)
        a, b = radius * rng.uniform(0.7, 1, 2)
        image[((yy - cy) / a) ** 2 + ((xx - cx) / b) ** 2 < 1] = number
    return image


@pytest.mark.parametrize("seed", range(3))
def test_views_that_differ_a_bit_give_the_same_objects(seed):
    image = grid_of_cells(400, 20, 9, seed)
    objects = merged(image, 128, overlap=44, margin=10, see=Jitter(400, 6, seed))
    truth = [crop_of(image == value) for value in np.unique(image[image > 0])]
    best = np.array([max(crop_iou(one.crop, true) for one in objects) for true in truth])
    assert np.mean(best >= 0.75) >= 0.99  # of ellipses of 18 pixels that dilate by a fifth of their edge
    assert abs(len(objects) - len(truth)) <= 0.01 * len(truth)


@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 100), stop=st.integers(0, 24))
def test_restored_it_gives_the_same_objects_in_the_same_order(seed, stop):
    image = grid_of_cells(150, 15, 9, seed)  # touching
    see, grid = Jitter(150, 4, seed), TileGrid(Region(0, 0, 150, 150), (48, 48), 20)

    def run(stop: int) -> list[FoundObject]:
        merger, objects = SeamMerger(grid, 6), []
        for number in range(len(grid)):
            if number == stop:
                state = merger.state()
                merger = SeamMerger(grid, 6)
                merger.restore(state)
            objects += merger.add(grid[number], see(grid[number], image))
        return [*objects, *merger.finish()]

    whole, broken = run(-1), run(min(stop, len(grid) - 1))
    assert len(whole) == len(broken) > 60
    for a, b in zip(whole, broken, strict=True):
        assert (a.score, a.label, a.crop.x, a.crop.y) == (b.score, b.label, b.crop.x, b.crop.y)
        assert np.array_equal(a.crop.bitmap, b.crop.bitmap)
        assert np.array_equal(a.box, b.box)


def test_what_is_no_state_is_refused():
    merger = SeamMerger(TileGrid(Region(0, 0, 90, 90), (48, 48), 20), 6)
    for state in (b"", b"junk", merger.state()[:40]):
        with pytest.raises(ValueError, match="no state"):
            merger.restore(state)


def test_objects_leave_as_soon_as_no_tile_can_see_more():
    image = grid_of_cells(300, 15, 6, 0)
    grid = TileGrid(Region(0, 0, 300, 300), (64, 64), 24)
    merger, pending, left = SeamMerger(grid, 6), [], 0
    for number in range(len(grid)):
        tile = grid[number]
        for one in merger.add(tile, seen_in(tile, image)):
            left += 1
            assert one.crop.y <= tile.region.y + tile.region.height
        pending.append(len(merger))
    a_row = len(grid.lefts) * 64 * 64 / 15**2
    assert max(pending) < 1.3 * a_row
    assert left + len(merger.finish()) == 400


def test_different_objects_stay_apart():
    """Touching objects on both sides of a seam, one in the other, and of two classes in one place."""
    square = Crop(np.ones((20, 20), dtype=bool), 40, 10)
    grid = TileGrid(Region(0, 0, 100, 40), (40, 60), 20)  # tiles from 0, 40
    beside, inside = Crop(np.ones((20, 20), dtype=bool), 60, 10), Crop(np.ones((4, 4), dtype=bool), 48, 18)
    merger = SeamMerger(grid, 4)
    first = [found(Crop(square.bitmap[:, :16], 40, 10)), found(inside)]
    second = [found(Crop(square.bitmap, 46, 10)), found(Crop(beside.bitmap, 67, 10)), found(inside)]
    objects = [*merger.add(grid[0], first), *merger.add(grid[1], second), *merger.finish()]
    assert sorted((one.crop.x, one.crop.area) for one in objects) == [(46, 400), (48, 16), (67, 400)]
    merger = SeamMerger(grid, 4)
    views = [found(Crop(np.ones((8, 8), dtype=bool), 47, 10), label) for label in (0, 1)]
    objects = [*merger.add(grid[0], views), *merger.add(grid[1], views), *merger.finish()]
    assert [one.label for one in objects] == [0, 1]
