"""What one image takes, measured on processes of their own."""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import textwrap
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_reader import read_channels, read_image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs resource")


def extra_mib(code: str, *arguments: str) -> float:
    """How many MiB the peak of a process rises while it runs the code, after its imports."""
    script = f"""
    import resource, sys
    import numpy as np
    from maskrcnn.images.channels import as_display_rgb
    from maskrcnn.images.image_reader import as_rgb8, read_image
    from maskrcnn.config import Preprocess
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
    assert extra_mib("as_display_rgb(np.ones((8000, 4000, 2), np.uint16))") < 122 + 92 + 100


def test_a_small_file_of_many_pixels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8000, 8000), np.uint16), compression="zlib", rowsperstrip=64)
    assert (tmp_path / "a.tif").stat().st_size < 2**18
    assert extra_mib("read_image(sys.argv[1])", str(tmp_path / "a.tif")) < 600


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["1", "L", "P", "LA", "RGB", "RGBA", "I;16"]))
@settings(max_examples=40, deadline=None)
@example(1, 3000, "1")
@example(3000, 3000, "L")
def test_the_smallest_png_of_an_image_holds_it(height: int, width: int, mode: str) -> None:
    """Nothing takes less than one value everywhere, compressed as far as it goes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flat.png"
        Image.new(mode, (width, height)).save(path, compress_level=9, **({"bits": 1} if mode == "P" else {}))
        assert read_channels(path).shape[:2] == (height, width)


def test_a_header_that_its_file_cannot_fill_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for width, height in ((1, 199_000_000), (199_000_000, 1), (14_000, 14_000)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
        (tmp_path / "claims.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        with pytest.raises(MaskRCNNError, match="cannot hold"):
            read_image(tmp_path / "claims.png")
