from pathlib import Path

import numpy as np
import pytest
import tifffile

from maskrcnn.rasters.georeference import read_georeference

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_the_real_geotiff() -> None:
    if not SHARED.is_dir():
        pytest.skip("the real GeoTIFF is not here")
    found = read_georeference(SHARED / "geo" / "sample_geotiff.tif")
    assert found is not None
    assert found.epsg == 32616
    # Its corner and half a metre a pixel, as its tags say; y points down in pixels and up on the map.
    np.testing.assert_allclose(
        found.to_pixels(np.array([[733601.0, 3725139.0], [733611.0, 3725134.0]])), [[0, 0], [20, 10]]
    )


def test_a_turned_matrix(tmp_path: Path) -> None:
    matrix = np.array([[0.6, 0.8, 0, 100], [0.8, -0.6, 0, 200], [0, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    path = tmp_path / "a.tif"
    tags = [(34264, "d", 16, tuple(matrix.ravel()), False)]
    tifffile.imwrite(path, np.zeros((4, 5), dtype=np.uint8), extratags=tags, metadata=None)
    found = read_georeference(path)
    assert found is not None
    assert found.epsg is None
    pixels = np.array([[0.0, 0.0], [3.0, 1.0]])
    np.testing.assert_allclose(found.to_pixels(pixels @ matrix[:2, :2].T + [100, 200]), pixels, atol=1e-9)


def test_none_without_tags(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), dtype=np.uint8))
    assert read_georeference(tmp_path / "a.tif") is None
    (tmp_path / "a.png").write_bytes(b"")
    assert read_georeference(tmp_path / "a.png") is None
