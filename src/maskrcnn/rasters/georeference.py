"""Where the pixels of a GeoTIFF lie in its coordinate system, from the tags of the file (OGC GeoTIFF 1.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from maskrcnn.images.image_limits import as_image_error
from maskrcnn.images.tiff_file import is_tiff

_SCALE, _TIEPOINTS, _MATRIX = 33550, 33922, 34264  # ModelPixelScale, ModelTiepoint, ModelTransformation
_POINT = 2  # value of GTRasterType: coordinates are those of the pixels' centres
_USER_DEFINED = 32767
_CODES = ("ProjectedCSTypeGeoKey", "GeographicTypeGeoKey")


class Georeference(NamedTuple):
    """An affine map from pixels to a coordinate system.

    Attributes:
        matrix: float64 [2, 3], from (x, y, 1) in continuous pixels, the origin at the outer corner of the top-left
            pixel.
        epsg: number of the coordinate system; None if it has none.
    """

    matrix: np.ndarray
    epsg: int | None

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Points [P, 2] of the coordinate system in pixels."""
        offset: np.ndarray = points - self.matrix[:, 2]
        return np.asarray(np.linalg.solve(self.matrix[:, :2], offset.T).T)


def read_georeference(path: Path) -> Georeference | None:
    """The georeference of an image file; None if it has none, or one that is no affine map.

    Raises:
        MaskRCNNError: it is a damaged TIFF.
    """
    from tifffile import TiffFile

    if not is_tiff(path):
        return None
    with as_image_error("truncated or damaged TIFF", path), TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        keys = page.geotiff_tags or {}
        scale, points, matrix = (page.tags.valueof(code) for code in (_SCALE, _TIEPOINTS, _MATRIX))
    if matrix is not None and len(matrix) == 16:
        affine = np.array(matrix, dtype=np.float64).reshape(4, 4)[:2, [0, 1, 3]]
    elif scale is not None and points is not None and len(points) >= 6:
        column, row, _, x, y = points[:5]
        wide, high = scale[:2]
        affine = np.array([[wide, 0, x - column * wide], [0, -high, y + row * high]], dtype=np.float64)
    else:
        return None
    if keys.get("GTRasterTypeGeoKey") == _POINT:
        affine[:, 2] -= affine[:, :2].sum(axis=1) / 2
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:, :2]):
        return None
    codes = (int(code) for name in _CODES if (code := keys.get(name)) is not None)
    return Georeference(affine, next((code for code in codes if 0 < code < _USER_DEFINED), None))
