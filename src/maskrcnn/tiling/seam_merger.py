"""One object for whatever several overlapping tiles saw of it, as soon as no later tile can see more.

Near a seam a network sees half objects and padding, so a tile is trusted only at a distance, the margin. What a tile
saw farther than that from its seams is whole, the rest is a fragment. Then, of masks that overlap and come from
different tiles:

- Of whole objects that are the same one, that of the tile in which it lies farther from the seams stays.
- A fragment goes where another tile saw the object whole, or saw the place whole and found nothing.
- Fragments that agree in what both tiles see are one object, over any number of tiles; its mask is the union.

Masks that do not overlap much have no part in each other, so a decision needs only the objects that are linked by such
overlaps, and can be made once no later tile reaches them. Objects, boxes and lengths are in pixels of the raster.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from maskrcnn.masks.crop import Crop, union
from maskrcnn.rasters.region import Region
from maskrcnn.tiling.found_object import FoundObject
from maskrcnn.tiling.tile_grid import Tile, TileGrid

LINKED = 0.15  # share of the smaller mask under the other, from which two objects have a part in each other
SAME = 0.5  # IoU of two views of one object; also the share of the smaller, where they are of comparable size
COMPARABLE = 0.25  # least ratio of the areas of two views of one object
COVERED = 0.5  # share of a fragment under an object that another tile saw whole
AGREEING = 0.4  # IoU of two fragments in what both tiles trust


@dataclass(eq=False)
class _View:
    """What one tile saw of an object.

    Attributes:
        number: in the order of arrival.
        reach: distance of its box from the tile's seams.
        last: index of the last tile that its box touches.
        linked: views of other tiles with which the masks overlap.
    """

    number: int
    tile: int
    found: FoundObject
    area: int
    reach: float
    last: int
    linked: list[_View] = field(default_factory=list)


class SeamMerger:
    """Takes the objects of the grid's tiles in order, and gives those that are final.

    Args:
        grid: the tiles.
        margin: distance from a seam up to which a tile is not trusted; at least 1, since what touches a seam is cut.
    """

    def __init__(self, grid: TileGrid, margin: float) -> None:
        self.grid, self.margin = grid, max(margin, 1.0)
        self._views: dict[int, list[_View]] = {}  # pending, by tile
        self._number = 0

    def __len__(self) -> int:
        """Number of views that are pending."""
        return sum(map(len, self._views.values()))

    def add(self, tile: Tile, objects: Sequence[FoundObject]) -> list[FoundObject]:
        """The objects that are final now that a tile was seen, in the order in which they were first seen.

        Args:
            tile: the next of the grid; tiles without objects, or that were not predicted, may be left out.
            objects: what the network found in it. Those with an empty mask are dropped.
        """
        self._take(tile, objects)
        return self._resolve(tile.index)

    def finish(self) -> list[FoundObject]:
        """What is left when all tiles were added."""
        return self._resolve(len(self.grid))

    def state(self) -> bytes:
        """What is pending, for `restore` in another process."""
        views = [view for views in self._views.values() for view in views]
        crops = [view.found.crop for view in views]
        packed = [np.packbits(crop.bitmap) for crop in crops]
        file = io.BytesIO()
        np.savez(
            file,
            next_number=self._number,
            number=np.array([view.number for view in views], dtype=np.int64),
            tile=np.array([view.tile for view in views], dtype=np.int64),
            label=np.array([view.found.label for view in views], dtype=np.int64),
            score=np.array([view.found.score for view in views], dtype=np.float64),
            box=np.array([view.found.box for view in views], dtype=np.float64).reshape(-1, 4),
            frame=np.array([_frame(crop) for crop in crops], dtype=np.int64).reshape(-1, 4),
            bits=np.concatenate([*packed, np.zeros(0, dtype=np.uint8)]),
        )
        return file.getvalue()

    def restore(self, state: bytes) -> None:
        """Go on where another merger of the same grid and margin was. Raises `ValueError` for what is no state."""
        try:
            with np.load(io.BytesIO(state), allow_pickle=False) as file:
                saved = {name: file[name] for name in file.files}
            self._unpack(saved)
        except (KeyError, IndexError, OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"no state of a merger: {error}") from error

    def _unpack(self, saved: dict[str, np.ndarray]) -> None:
        objects: dict[int, list[FoundObject]] = {}
        numbers: dict[int, list[int]] = {}
        place = 0
        rows = zip(*(saved[name].tolist() for name in ("number", "tile", "label", "score", "frame")), strict=True)
        for (number, tile, label, score, (x, y, width, height)), box in zip(rows, saved["box"], strict=True):
            size = -(-width * height // 8)
            bits = np.unpackbits(saved["bits"][place : place + size], count=width * height)
            place += size
            crop = Crop(bits.reshape(height, width).astype(bool), x, y)
            objects.setdefault(tile, []).append(FoundObject(crop, box, score, label))
            numbers.setdefault(tile, []).append(number)
        self._views = {}
        for index, found in objects.items():
            self._take(self.grid[index], found)
            for view, number in zip(self._views[index], numbers[index], strict=True):
                view.number = number
        self._number = int(saved["next_number"])

    def _take(self, tile: Tile, objects: Sequence[FoundObject]) -> None:
        tight = [found.crop.tight() for found in objects]
        kept = [(found, crop) for found, crop in zip(objects, tight, strict=True) if crop.bitmap.size]
        boxes = np.array([crop.box for _, crop in kept], dtype=np.float64).reshape(-1, 4)
        views = []
        for (found, crop), box, reach in zip(kept, boxes, self.grid.reach(tile, boxes).tolist(), strict=True):
            whole = FoundObject(crop, found.box, found.score, found.label)
            last = max(self.grid.overlapping(box), default=tile.index)
            views.append(_View(self._number, tile.index, whole, crop.area, reach, max(last, tile.index)))
            self._number += 1
        x, y, width, height = tile.region
        for index in self.grid.overlapping(np.array([x, y, x + width, y + height])):
            _link(views, self._views.get(index, ()))
        self._views[tile.index] = views

    def _resolve(self, done: int) -> list[FoundObject]:
        """The objects of the groups of linked views that no tile after ``done`` touches."""
        final: list[tuple[int, FoundObject]] = []
        settled: set[_View] = set()
        seen: set[_View] = set()
        for view in (view for views in self._views.values() for view in views):
            if view in seen or view.last > done:
                continue
            group = _connected(view, lambda one: one.linked)
            seen.update(group)
            if all(member.last <= done for member in group):
                settled.update(group)
                final += self._decide(sorted(group, key=lambda member: member.number))
        for index in [*self._views]:
            self._views[index] = [view for view in self._views[index] if view not in settled]
            if not self._views[index]:
                del self._views[index]
        return [found for _, found in sorted(final, key=lambda pair: pair[0])]

    def _decide(self, group: list[_View]) -> list[tuple[int, FoundObject]]:
        """The objects of a group of linked views, each with the number of its first view."""
        if len(group) == 1:
            (view,) = group
            return [] if view.reach < self.margin and self._seen_better(view) else [(view.number, view.found)]
        whole = [view for view in group if view.reach >= self.margin]
        kept: list[_View] = []
        for view in sorted(whole, key=lambda view: (-view.reach, view.number)):
            if not any(other in kept and self._is_same(view, other) for other in view.linked):
                kept.append(view)
        kept_set = set(kept)
        fragments = [
            view
            for view in group
            if view.reach < self.margin and not any(o in kept_set and self._covers(o, view) for o in view.linked)
        ]
        objects = [(view.number, view.found) for view in kept]
        for part in self._joined(fragments):
            if len(part) > 1 or not self._seen_better(part[0]):
                objects.append((part[0].number, _union(part)))
        return objects

    def _is_same(self, a: _View, b: _View) -> bool:
        """Whether two whole views of different tiles show one object."""
        shared = _shared(a.found.crop, b.found.crop)
        if shared >= SAME * (a.area + b.area - shared):
            return True
        if a.found.label != b.found.label:
            return False
        smaller, larger = sorted((a.area, b.area))
        return shared >= SAME * smaller and smaller >= COMPARABLE * larger

    def _covers(self, whole: _View, fragment: _View) -> bool:
        """Whether a fragment is part of an object that another tile saw whole."""
        shared = _shared(whole.found.crop, fragment.found.crop)
        seen = _within(fragment.found.crop, self.grid[whole.tile].region).area
        same = whole.found.label == fragment.found.label
        return shared >= COVERED * max(seen, 1) and (same or shared >= SAME * whole.area)

    def _seen_better(self, view: _View) -> bool:
        """Whether another tile trusts all of the place of a fragment, and so would have found it."""
        box = np.array([view.found.crop.box])
        tiles = (self.grid[index] for index in self.grid.overlapping(box[0]) if index != view.tile)
        return any(self.grid.reach(tile, box)[0] >= self.margin for tile in tiles)

    def _joined(self, fragments: list[_View]) -> list[list[_View]]:
        """The fragments in groups that are one object each."""
        partners: dict[_View, list[_View]] = {view: [] for view in fragments}
        for view in fragments:
            for other in view.linked:
                if other in partners and other.number < view.number and self._agree(view, other):
                    partners[view].append(other)
                    partners[other].append(view)
        parts, seen = [], set[_View]()
        for view in fragments:
            if view not in seen:
                part = _connected(view, lambda one: partners[one])
                seen.update(part)
                parts.append(sorted(part, key=lambda member: member.number))
        return parts

    def _agree(self, a: _View, b: _View) -> bool:
        """Whether two fragments are one object: of one class, with like masks where both tiles look."""
        if a.found.label != b.found.label:
            return False
        for margin in (self.margin, 0.0):
            zone = _common(*(self._trusted(index, margin) for index in (a.tile, b.tile)))
            first, second = _within(a.found.crop, zone), _within(b.found.crop, zone)
            if first.bitmap.any() and second.bitmap.any():
                shared = _shared(first, second)
                return shared >= AGREEING * (first.area + second.area - shared)
        return False

    def _trusted(self, index: int, margin: float) -> Region:
        """A tile without the margin at its seams."""
        tile, edge = self.grid[index], round(margin)
        x, y, width, height = tile.region
        left, right = edge * (x > self.grid.lefts[0]), edge * (x < self.grid.lefts[-1])
        top, bottom = edge * (y > self.grid.tops[0]), edge * (y < self.grid.tops[-1])
        return Region(x + left, y + top, max(width - left - right, 0), max(height - top - bottom, 0))


def _link(views: Sequence[_View], others: Sequence[_View]) -> None:
    """Link views of two tiles whose masks overlap by a good part of the smaller."""
    if not views or not others:
        return
    a, b = (np.array([view.found.crop.box for view in group]) for group in (views, others))
    meet = (a[:, None, :2] < b[None, :, 2:]).all(-1) & (b[None, :, :2] < a[:, None, 2:]).all(-1)
    for row, column in np.argwhere(meet).tolist():
        view, other = views[row], others[column]
        if _shared(view.found.crop, other.found.crop) >= LINKED * min(view.area, other.area):
            view.linked.append(other)
            other.linked.append(view)


def _connected(view: _View, partners: Callable[[_View], Iterable[_View]]) -> list[_View]:
    """A view and all that it is connected to."""
    found, waiting = {view: None}, [view]
    while waiting:
        for other in partners(waiting.pop()):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return list(found)


def _union(part: Sequence[_View]) -> FoundObject:
    """One object of its fragments: the union of masks and boxes, the mean score by area."""
    if len(part) == 1:
        return part[0].found
    boxes = np.array([view.found.box for view in part])
    areas = np.array([view.area for view in part], dtype=np.float64)
    score = float(np.average([view.found.score for view in part], weights=areas))
    box = np.concatenate((boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)))
    return FoundObject(union([view.found.crop for view in part]), box, score, part[0].found.label)


def _shared(a: Crop, b: Crop) -> int:
    """Pixels set in both masks."""
    zone = _common(_frame(a), _frame(b))
    if not zone.width or not zone.height:
        return 0
    return int(np.count_nonzero(_within(a, zone).bitmap & _within(b, zone).bitmap))


def _within(crop: Crop, zone: Region) -> Crop:
    """The part of a mask in a zone, a view of its pixels."""
    x, y, width, height = _common(_frame(crop), zone)
    return Crop(crop.bitmap[y - crop.y : y - crop.y + height, x - crop.x : x - crop.x + width], x, y)


def _frame(crop: Crop) -> Region:
    height, width = crop.bitmap.shape
    return Region(crop.x, crop.y, width, height)


def _common(a: Region, b: Region) -> Region:
    """Where two regions overlap; of width or height 0 where they do not."""
    x, y = max(a.x, b.x), max(a.y, b.y)
    width, height = min(a.x + a.width, b.x + b.width) - x, min(a.y + a.height, b.y + b.height) - y
    if width <= 0 or height <= 0:
        return Region(a.x, a.y, 0, 0)
    return Region(x, y, width, height)
