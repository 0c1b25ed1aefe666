"""Regions of a TIFF are those of the whole image, however it is laid out; what is damaged is one region's error."""

import os
import threading
import tracemalloc
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_reader import read_image
from maskrcnn.rasters.memory_raster import MemoryRaster
from maskrcnn.rasters.open_raster import open_raster
from maskrcnn.rasters.region import Region
from maskrcnn.rasters.tiff_raster import TiffRaster

SHARED = Path(__file__).parents[3] / "shared" / "data"
NOISE = np.random.default_rng(0).integers(0, 2**16, (150, 130, 4), dtype=np.uint16)
LAYOUTS = [
    {"tile": (32, 48)},
    {"tile": (16, 16), "compression": "zlib"},
    {"rowsperstrip": 7},
    {"rowsperstrip": 7, "compression": "zlib", "predictor": 2},
    {"tile": (32, 32), "bigtiff": True, "byteorder": ">"},
    {"tile": (32, 32), "planarconfig": "separate"},
]


def written(path: Path, layout: dict, channels: int, deep: bool) -> np.ndarray:
    image = NOISE[..., :channels] if deep else (NOISE[..., :channels] >> 8).astype(np.uint8)
    stored = image if channels > 1 else image[..., 0]
    arguments = {name: value for name, value in layout.items() if name not in ("bigtiff", "byteorder")}
    photometric = "rgb" if channels == 3 else "minisblack"
    if arguments.get("planarconfig") == "separate":
        stored = np.moveaxis(image, -1, 0) if channels > 1 else stored
        arguments = arguments if channels > 1 else {"tile": (32, 32)}
    with tifffile.TiffWriter(
        path, bigtiff=layout.get("bigtiff", False), byteorder=layout.get("byteorder", "<")
    ) as tiff:
        if channels > 1:
            arguments.setdefault("planarconfig", "contig")
        tiff.write(stored, photometric=photometric, metadata=None, **arguments)
    return image


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(layout=st.sampled_from(LAYOUTS), channels=st.sampled_from([1, 3, 4]), deep=st.booleans(), data=st.data())
def test_a_region_is_that_of_the_whole(tmp_path, layout, channels, deep, data):
    image = written(tmp_path / "a.tif", layout, channels, deep)
    height, width = image.shape[:2]
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    region = Region(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    with TiffRaster(tmp_path / "a.tif") as raster:
        assert (raster.size, raster.channels) == ((height, width), channels)
        pixels = raster.read(region).pixels
        window = image[y : y + region.height, x : x + region.width]
        assert pixels.dtype == image.dtype
        assert np.array_equal(pixels, window)
        even = window[: region.height // 2 * 2, : region.width // 2 * 2].astype(float)
        if even.size:
            means = even.reshape(len(even) // 2, 2, even.shape[1] // 2, 2, channels).mean((1, 3))
            halved = raster.read(region, 2).pixels
            assert halved.shape[:2] == (-(-region.height // 2), -(-region.width // 2))
            assert np.abs(halved[: len(means), : means.shape[1]] - means).max() <= 0.5


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
def test_other_compressions(tmp_path, compression):
    picture = Image.fromarray((NOISE[..., :3] >> 8).astype(np.uint8))
    picture.save(tmp_path / "a.tif", compression=compression)
    with TiffRaster(tmp_path / "a.tif") as raster:
        assert np.array_equal(raster.read(Region(10, 20, 50, 60)).pixels, np.asarray(picture)[20:80, 10:60])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_strips_of_jpeg_are_what_libtiff_decodes(tmp_path, mode):
    y, x = np.mgrid[:90, :128]
    image = np.stack((x * 3, y * 3, 255 - x * 2 - y), axis=-1).clip(0, 255).astype(np.uint8)
    path = tmp_path / "a.tif"
    Image.fromarray(image).convert(mode).save(path, compression="jpeg", quality=95, strip_size=32 * 128)
    with Image.open(path) as picture:
        whole = np.asarray(picture).reshape(90, 128, -1)
    with TiffRaster(path) as raster:
        assert np.array_equal(raster.read(Region(0, 0, 128, 90)).pixels, whole)
        assert np.array_equal(raster.read(Region(50, 10, 40, 70)).pixels, whole[10:80, 50:90])


def test_reduced_copies_are_used(tmp_path):
    """Their content tells which one was read."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(np.full((256, 200), 10, np.uint8), tile=(64, 64), subifds=2, metadata=None)
        for shrink, value in ((2, 20), (4, 40)):
            tiff.write(
                np.full((256 // shrink, 200 // shrink), value, np.uint8), tile=(64, 64), subfiletype=1, metadata=None
            )
    with TiffRaster(tmp_path / "a.tif") as raster:
        assert raster.shrinks == (1, 2, 4)
        values = {shrink: raster.read(Region(3, 5, 99, 77), shrink).pixels for shrink in (1, 2, 4, 8)}
    assert {shrink: set(np.unique(pixels)) for shrink, pixels in values.items()} == {1: {10}, 2: {20}, 4: {40}, 8: {40}}
    assert values[8].shape[:2] == (10, 13)


@pytest.mark.parametrize("copies", [0, 2])
def test_the_shape_is_that_of_the_region_whatever_copies_there_are(tmp_path, copies):
    """Those of a scanner end early: 257 x 201 pixels have a copy of 128 x 100."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(np.zeros((257, 201), np.uint8), tile=(64, 64), subifds=copies, metadata=None)
        for shrink in (2, 4)[:copies]:
            tiff.write(np.zeros((257 // shrink, 201 // shrink), np.uint8), tile=(64, 64), subfiletype=1, metadata=None)
    with TiffRaster(tmp_path / "a.tif") as raster:
        for region in (Region(0, 0, 201, 257), Region(3, 1, 4, 4), Region(200, 256, 1, 1), Region(101, 7, 100, 250)):
            for shrink in (1, 2, 4, 8):
                expected = -(-region.height // shrink), -(-region.width // shrink)
                assert raster.read(region, shrink).pixels.shape[:2] == expected, (region, shrink)


@pytest.mark.parametrize(
    ("channels", "dtype", "extra"),
    [
        (1, np.uint16, ()),
        (3, np.uint16, ()),
        (3, np.uint8, ()),
        (4, np.uint8, (2,)),
        (4, np.uint8, (0,)),
        (5, np.uint8, (0, 0)),
    ],
)
def test_as_rgb_it_is_what_the_whole_is(tmp_path, channels, dtype, extra):
    """16 bits by the range of the whole image, transparency on white, samples of no meaning left out."""
    image = (
        np.random.default_rng(1).integers(100, 40_000, (90, 70, channels)) >> (8 if dtype == np.uint8 else 0)
    ).astype(dtype)
    image[60:, 50:] //= 3
    stored = image if channels > 1 else image[..., 0]
    photometric = "rgb" if channels > 1 else "minisblack"
    arguments = {"planarconfig": "contig", "extrasamples": extra} if extra else {}
    tifffile.imwrite(tmp_path / "a.tif", stored, tile=(32, 32), photometric=photometric, metadata=None, **arguments)
    whole = read_image(tmp_path / "a.tif")
    with closing(open_raster(tmp_path / "a.tif")) as raster:
        assert isinstance(raster, TiffRaster)
        assert np.array_equal(raster.read(Region(0, 0, 70, 90)).pixels, whole.pixels)
        assert np.array_equal(raster.read(Region(40, 50, 20, 30)).pixels, whole.pixels[50:80, 40:60])
        assert set(raster.notes) <= set(whole.notes)
        assert any("16-bit" in note for note in raster.notes) == (dtype == np.uint16)


def test_what_is_not_read_by_region_is_read_whole(tmp_path):
    picture = Image.fromarray((NOISE[..., :3] >> 8).astype(np.uint8))
    picture.save(tmp_path / "turned.tif", tiffinfo={274: 6})
    raster = open_raster(tmp_path / "turned.tif")
    assert isinstance(raster, MemoryRaster)
    assert raster.size == (130, 150)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "turned.tif").read_bytes()[:50])
    with pytest.raises(MaskRCNNError, match=r"cut\.tif: truncated or damaged"):
        open_raster(tmp_path / "cut.tif")


@pytest.mark.parametrize(("dtype", "read"), [(np.float32, False), (np.int16, True), (np.uint32, True)])
def test_numbers_of_other_types_are_those_of_the_whole_image(tmp_path, dtype, read):
    """Whole numbers that fit into 16 bits are read, which is known of all of them only."""
    tifffile.imwrite(tmp_path / "a.tif", (NOISE[..., 0] >> 2).astype(dtype), tile=(64, 64), metadata=None)
    if not read:
        with pytest.raises(MaskRCNNError, match="expected pixels of type uint8 or uint16, found float32"):
            open_raster(tmp_path / "a.tif")
        return
    raster = open_raster(tmp_path / "a.tif")
    assert np.array_equal(raster.read(Region(0, 0, 130, 150)).pixels, read_image(tmp_path / "a.tif").pixels)


def test_pages_are_channels_for_a_model_of_as_many(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(NOISE, -1, 0), photometric="minisblack", metadata=None)
    deep = Preprocess(mean=(0.5,) * 4, std=(0.2,) * 4, depth=16)
    raster = open_raster(tmp_path / "a.tif", deep)
    assert np.array_equal(raster.read(Region(5, 6, 20, 30)).pixels, NOISE[6:36, 5:25])


def test_a_huge_sparse_image_takes_no_more_than_its_region(tmp_path):
    """100,000 x 100,000 pixels of which one tile is stored."""
    path, side, tile = tmp_path / "a.tif", 100_352, 1024
    blank = [b""] * (side // tile) ** 2
    blank[1] = bytes([7]) * tile * tile
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(iter(blank), shape=(side, side), dtype=np.uint8, tile=(tile, tile), metadata=None)
    tracemalloc.start()
    with TiffRaster(path, rgb=True) as raster:
        assert raster.size == (side, side)
        assert set(np.unique(raster.read(Region(90_000, 95_000, 800, 800)).pixels)) == {0}
        window = raster.read(Region(tile - 10, 0, 20, 20)).pixels[..., 0]
        assert set(np.unique(window[:, :10])) == {0}
        assert set(np.unique(window[:, 10:])) == {7}
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 50 * 2**20
        with pytest.raises(MaskRCNNError, match=r"bytes of pixels"):
            raster.read(Region(0, 0, side, side))


def test_threads_get_what_one_gets(tmp_path):
    image = written(tmp_path / "a.tif", LAYOUTS[1], 3, False)
    wrong = []
    with TiffRaster(tmp_path / "a.tif") as raster:

        def read(seed: int) -> None:
            rng = np.random.default_rng(seed)
            for _ in range(40):
                x, y = rng.integers(0, 100, 2).tolist()
                if not np.array_equal(raster.read(Region(x, y, 30, 30)).pixels, image[y : y + 30, x : x + 30]):
                    wrong.append((x, y))

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are not listed here")
def test_no_file_stays_open(tmp_path):
    written(tmp_path / "a.tif", LAYOUTS[0], 3, False)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        with TiffRaster(tmp_path / "a.tif") as raster:
            raster.read(Region(0, 0, 5, 5))
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:100])
    with pytest.raises(MaskRCNNError):
        TiffRaster(tmp_path / "b.tif")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_what_is_cut_off_is_an_error_of_its_region(tmp_path):
    image = written(tmp_path / "a.tif", {"tile": (32, 32)}, 3, False)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        last = max(tiff.pages[0].dataoffsets)
    os.truncate(tmp_path / "a.tif", last + 10)
    with TiffRaster(tmp_path / "a.tif") as raster:
        assert np.array_equal(raster.read(Region(0, 0, 40, 40)).pixels, image[:40, :40])
        with pytest.raises(MaskRCNNError, match=r"a\.tif: truncated or damaged"):
            raster.read(Region(100, 120, 30, 30))


@pytest.mark.parametrize(
    "region", [Region(0, 0, 0, 5), Region(-1, 0, 5, 5), Region(0, 0, 131, 5), Region(0, 150, 5, 5), Region(0, 0, 5, -5)]
)
def test_a_region_outside_is_refused(tmp_path, region):
    written(tmp_path / "a.tif", LAYOUTS[0], 3, False)
    with TiffRaster(tmp_path / "a.tif") as raster, pytest.raises(MaskRCNNError, match="expected a region within 130 x"):
        raster.read(region)


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data")
def test_real_files():
    with closing(open_raster(SHARED / "slides" / "small_HE.svs")) as slide:
        assert slide.size == (2967, 2220)
        pixels = slide.read(Region(700, 900, 300, 200)).pixels
        assert pixels[..., 1].mean() < pixels[..., 0].mean()  # stained pink and violet, not in other colours
    with closing(open_raster(SHARED / "geo" / "cogeo.tif")) as raster:
        assert raster.shrinks == (1, 2, 4, 8, 16, 32, 64)
    for name, fault in (("geo/corrupt.tif", "a damaged tile"), ("slides/unreadable.svs", "a damaged tile")):
        with closing(open_raster(SHARED / name)) as raster, pytest.raises(MaskRCNNError, match=fault):
            raster.read(Region(0, 0, *raster.size[::-1]))
