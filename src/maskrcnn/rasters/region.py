"""A rectangle of whole pixels."""

from __future__ import annotations

from typing import NamedTuple


class Region(NamedTuple):
    """A rectangle of a raster, in pixels of its full resolution.

    Attributes:
        x, y: its first column and row.
        width, height: in pixels.
    """

    x: int
    y: int
    width: int
    height: int
