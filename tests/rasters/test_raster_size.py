from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images import image_limits
from maskrcnn.rasters.raster_size import raster_size, read_by_region


def test_a_tiff_may_be_larger_than_what_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((48, 80), dtype=np.uint8), tile=(16, 16))
    Image.new("L", (80, 48)).save(tmp_path / "a.png")
    assert raster_size(tmp_path / "a.tif") == raster_size(tmp_path / "a.png") == (48, 80)
    assert not read_by_region(48, 80)
    monkeypatch.setattr(image_limits, "MAX_PIXELS", 1000)
    assert read_by_region(48, 80)
    assert raster_size(tmp_path / "a.tif") == (48, 80)
    with pytest.raises(MaskRCNNError, match="at most 1,000 pixels"):
        raster_size(tmp_path / "a.png")
