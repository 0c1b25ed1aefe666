"""What one image takes, measured on processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs resource")


def extra_mib(code: str, *arguments: str) -> float:
    """How many MiB the peak of a process rises while it runs the code, after its imports."""
    script = f"""
    import resource, sys
    import numpy as np
    from maskrcnn.data.channels import as_picture
    from maskrcnn.data.image_io import as_rgb8, read_image
    from maskrcnn.model.config import Preprocess
    from maskrcnn.runtime.resize import prepare
    unit = 2**20 if sys.platform == "darwin" else 2**10
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    {code}
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout)


def test_a_strip_of_forty_million_pixels_goes_through() -> None:
    """As RGB it has 114 MiB. A table of filter taps would have ten times as many."""
    code = "prepare([as_rgb8(np.ones((40_000_000, 1), np.uint8))[0]], Preprocess(antialias=True))"
    assert extra_mib(code) < 400


def test_sixteen_bits_are_stretched_without_floats() -> None:
    """122 MiB as read, 183 as RGB."""
    assert extra_mib("as_rgb8(np.ones((8000, 8000), np.uint16))") < 122 + 62 + 183 + 40
    assert extra_mib("as_picture(np.ones((8000, 4000, 2), np.uint16))") < 122 + 92 + 100


def test_a_small_file_of_many_pixels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8000, 8000), np.uint16), compression="zlib", rowsperstrip=64)
    assert (tmp_path / "a.tif").stat().st_size < 2**18
    assert extra_mib("read_image(sys.argv[1])", str(tmp_path / "a.tif")) < 600
