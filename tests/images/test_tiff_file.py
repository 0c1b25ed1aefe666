"""TIFF in all its forms: what is read is what tifffile wrote, or an error that says why not."""

from __future__ import annotations

import io
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images import image_limits
from maskrcnn.images.image_reader import (
    image_size,
    is_multichannel,
    read_channels,
    read_header,
    read_id_map,
    read_image,
)
from maskrcnn.images.tiff_file import open_tiff
from tests.outcomes import Outcomes

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 37, 53
KINDS = [("minisblack", 1), ("miniswhite", 1), ("minisblack", 2), ("minisblack", 5), ("rgb", 3), ("rgb", 4), ("rgb", 6)]
LAYOUTS: list[dict[str, Any]] = [{"rowsperstrip": 7}, {"tile": (16, 32)}, {"tile": (48, 80)}]
LIBTIFF = {"tiff_lzw": 5, "packbits": 32773, "tiff_adobe_deflate": 8, "zstd": 50000, "lzma": 34925}


def values_of(samples: int, dtype: str) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max + 1, (HEIGHT, WIDTH, samples)).astype(dtype)


def write(path: Path, values: np.ndarray, photometric: str, planar: str = "contig", **options: Any) -> None:
    array = values[..., 0] if values.shape[2] == 1 else values
    if values.shape[2] > 1:
        array = np.ascontiguousarray(values.transpose(2, 0, 1)) if planar == "separate" else values
        options["planarconfig"] = planar
    tifffile.imwrite(path, array, photometric=photometric, metadata=None, **options)


def bright(values: np.ndarray, photometric: str) -> np.ndarray:
    """From dark to bright."""
    return np.iinfo(values.dtype).max - values if photometric == "miniswhite" else values


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(("photometric", "samples"), KINDS)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_pixels_are_those_that_tifffile_wrote(
    tmp_path: Path, dtype: str, photometric: str, samples: int, planar: str
) -> None:
    path = tmp_path / "a.tif"
    schemes = [(None, False), ("zlib", False), ("zlib", True)]
    for order, big, layout, (compression, predictor) in itertools.product("<>", (False, True), LAYOUTS, schemes):
        values = values_of(samples, dtype)
        options = {"byteorder": order, "bigtiff": big, "compression": compression, "predictor": predictor, **layout}
        write(path, values, photometric, planar, **options)
        read = read_channels(path)
        assert read.dtype == np.dtype(dtype)
        assert read.dtype.isnative
        assert read.flags.writeable
        assert np.array_equal(read, bright(values, photometric)), options
        if samples == 1:
            assert np.array_equal(read_id_map(path), values[..., 0])
        assert image_size(path) == read_header(path).size == (HEIGHT, WIDTH)


def by_libtiff(rows: np.ndarray, compression: str) -> bytes:
    """Bytes [H, W] as one compressed strip."""
    file = io.BytesIO()
    Image.fromarray(rows).save(file, format="TIFF", compression=compression, tiffinfo={278: len(rows)})
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        assert len(page.dataoffsets) == 1
        file.seek(page.dataoffsets[0])
        return file.read(page.databytecounts[0])


def recompressed(path: Path, compression: str) -> None:
    """The same pixels in an uncompressed TIFF of one strip a plane, compressed by another library than wrote it."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        page, order = tiff.pages[0], tiff.byteorder
        starts, counts = [], []
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            rows = page.imagelength if not page.is_tiled else page.tilelength
            part = np.frombuffer(bytes(content[offset : offset + count]), np.uint8).reshape(rows, -1)
            packed = by_libtiff(part, compression)
            starts.append(len(content))
            counts.append(len(packed))
            content += packed
        tags = page.tags
        written = {259: [LIBTIFF[compression]], 273: starts, 279: counts}
        written |= {} if not page.is_tiled else {324: starts, 325: counts}
        for code, numbers in written.items():
            if code in tags:
                tag = tags[code]
                kind = {3: "u2", 4: "u4"}[int(tag.dtype)]
                data = np.array(numbers, dtype=f"{order}{kind}").tobytes()
                content[tag.valueoffset : tag.valueoffset + len(data)] = data
    path.write_bytes(content)


@pytest.mark.parametrize("compression", LIBTIFF)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(("photometric", "samples"), KINDS)
def test_compressions_that_tifffile_alone_does_not_know(
    tmp_path: Path, compression: str, dtype: str, photometric: str, samples: int
) -> None:
    path = tmp_path / "a.tif"
    for order, planar, layout in itertools.product("<>", ("contig", "separate"), ({}, {"tile": (16, 32)})):
        values = values_of(samples, dtype)
        write(path, values, photometric, planar, byteorder=order, **{"rowsperstrip": HEIGHT, **layout})
        recompressed(path, compression)
        with tifffile.TiffFile(path) as tiff:
            assert tiff.pages[0].compression == LIBTIFF[compression]
        assert np.array_equal(read_channels(path), bright(values, photometric)), (order, planar, layout)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_palette_gives_its_colours_and_ids_its_indices(tmp_path: Path, dtype: str, order: str) -> None:
    indices = values_of(1, dtype)
    colours = RNG.integers(0, 65536, (3, 2 ** (8 * np.dtype(dtype).itemsize))).astype(np.uint16)
    write(tmp_path / "a.tif", indices, "palette", colormap=colours, byteorder=order)
    expected = (colours >> 8).T[indices[..., 0]]
    assert np.array_equal(read_channels(tmp_path / "a.tif"), expected)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, expected)
    assert np.array_equal(read_id_map(tmp_path / "a.tif"), indices[..., 0])


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("compression", [None, "group3", "group4", "tiff_lzw", "packbits"])
def test_one_bit_a_pixel(tmp_path: Path, photometric: str, compression: str | None) -> None:
    mask = RNG.random((HEIGHT, WIDTH)) < 0.5
    options: dict[str, Any] = {"compression": compression} if compression else {}
    Image.fromarray(mask).save(tmp_path / "a.tif", tiffinfo={262: int(photometric == "minisblack")}, **options)
    with Image.open(tmp_path / "a.tif") as image:
        expected = np.asarray(image)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        inverted = int(tiff.pages[0].photometric) == 0
    assert np.array_equal(read_channels(tmp_path / "a.tif")[..., 0] > 0, expected)
    assert np.array_equal(read_id_map(tmp_path / "a.tif") > 0, ~expected if inverted else expected)


@pytest.mark.parametrize("bits", [2, 4, 12])
def test_samples_that_share_bytes(tmp_path: Path, bits: int) -> None:
    """Packed by hand: tifffile writes them with another package only."""
    values = RNG.integers(0, 2**bits, (HEIGHT, WIDTH))
    single = (values[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8).reshape(HEIGHT, -1)
    packed = np.packbits(single, axis=1)
    tifffile.imwrite(tmp_path / "a.tif", packed, photometric="minisblack", metadata=None, rowsperstrip=HEIGHT)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        for code, number in ((256, WIDTH), (258, bits)):
            tag = tiff.pages[0].tags[code]
            size = {3: 2, 4: 4}[int(tag.dtype)]
            content[tag.valueoffset : tag.valueoffset + size] = number.to_bytes(size, "little")
    (tmp_path / "a.tif").write_bytes(content)
    assert np.array_equal(read_id_map(tmp_path / "a.tif"), values)
    shown = values if bits > 8 else values * (255 // (2**bits - 1))
    assert np.array_equal(read_channels(tmp_path / "a.tif")[..., 0], shown)
    if bits == 4:
        with Image.open(tmp_path / "a.tif") as image:
            assert np.array_equal(np.asarray(image), shown)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_of_other_types_are_refused_as_pixels(tmp_path: Path, dtype: str, order: str) -> None:
    values = RNG.normal(size=(HEIGHT, WIDTH)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=order, compression="zlib")
    assert np.array_equal(open_tiff(tmp_path / "a.tif")[0].stored()[..., 0], values)
    for reader in (read_channels, read_image):
        with pytest.raises(
            MaskRCNNError, match=r"a\.tif: expected pixels of type uint8 or uint16, found float"
        ) as told:
            reader(tmp_path / "a.tif")
        assert told.value.fix


def test_whole_numbers_of_more_bits_are_read_where_they_fit(tmp_path: Path) -> None:
    for dtype in ("i2", "i4", "u4", "i8"):
        values = RNG.integers(0, 32768, (HEIGHT, WIDTH)).astype(dtype)
        tifffile.imwrite(tmp_path / "a.tif", values)
        assert np.array_equal(read_channels(tmp_path / "a.tif")[..., 0], values)
        assert np.array_equal(read_id_map(tmp_path / "a.tif"), values)
    tifffile.imwrite(tmp_path / "a.tif", values - 40_000)
    with pytest.raises(MaskRCNNError, match="found int64"):
        read_channels(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_the_orientation_is_applied_once(tmp_path: Path, orientation: int, dtype: str) -> None:
    values = values_of(1, dtype)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", values, metadata=None, extratags=[(274, "H", 1, orientation, True)])
    turned = {
        1: values,
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.T,
        6: np.rot90(values, -1),
        7: np.rot90(values.T, 2),
        8: np.rot90(values),
    }[orientation]
    assert np.array_equal(read_channels(tmp_path / "a.tif")[..., 0], turned)
    assert np.array_equal(read_id_map(tmp_path / "a.tif"), turned)
    assert image_size(tmp_path / "a.tif") == read_header(tmp_path / "a.tif").size == turned.shape


@pytest.mark.parametrize(("extra", "associated"), [("assocalpha", True), ("unassalpha", False)])
def test_transparency_goes_on_white_whichever_way_it_is_stored(tmp_path: Path, extra: str, associated: bool) -> None:
    values = values_of(4, "u1")
    colours, alpha = values[..., :3].astype(float), values[..., 3:] / 255
    if associated:
        values[..., :3] = np.rint(colours * alpha)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=[extra])
    pixels, notes = read_image(tmp_path / "a.tif")
    assert np.abs(pixels - (colours * alpha + 255 * (1 - alpha))).max() <= 1
    assert notes == ("transparent pixels composited on white",)
    assert np.array_equal(read_channels(tmp_path / "a.tif"), values)
    assert not is_multichannel(tmp_path / "a.tif")


def test_a_fourth_sample_of_no_stated_meaning_is_no_transparency(tmp_path: Path) -> None:
    """Near infrared, for instance."""
    values = values_of(4, "u1")
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unspecified"])
    pixels, notes = read_image(tmp_path / "a.tif")
    assert np.array_equal(pixels, values[..., :3])
    assert "first 3 of 4 samples" in notes[0]
    assert np.array_equal(read_channels(tmp_path / "a.tif"), values)
    assert is_multichannel(tmp_path / "a.tif")


def test_grey_with_transparency_is_a_picture(tmp_path: Path) -> None:
    values = values_of(2, "u1")
    values[..., 1] = 255
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig", extrasamples=[2])
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, np.repeat(values[..., :1], 3, axis=2))


def test_smaller_copies_and_masks_of_an_image_are_no_pages(tmp_path: Path) -> None:
    values = values_of(1, "u2")[..., 0]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(values[::2, ::2], subfiletype=1, metadata=None)
        file.write(values, subfiletype=0, metadata=None)
        file.write(values > 9, subfiletype=4, metadata=None)
    assert np.array_equal(read_channels(tmp_path / "a.tif")[..., 0], values)
    assert read_header(tmp_path / "a.tif").frames == 1
    assert not any("pages" in note for note in read_image(tmp_path / "a.tif").notes)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(values, subifds=1)
        file.write(values[::2, ::2], subfiletype=1)
    assert np.array_equal(read_channels(tmp_path / "b.tif")[..., 0], values)


def test_segments_that_a_sparse_file_leaves_out_are_empty(tmp_path: Path) -> None:
    values = np.zeros((64, 64), np.uint16)
    values[:32, 32:] = 7
    write(tmp_path / "a.tif", values[..., None], "minisblack", tile=(32, 32), compression="zlib")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        for code in (324, 325):
            tag = tiff.pages[0].tags[code]
            size = {3: 2, 4: 4}[int(tag.dtype)]
            for place in (0, 2, 3):
                content[tag.valueoffset + place * size : tag.valueoffset + (place + 1) * size] = bytes(size)
    (tmp_path / "a.tif").write_bytes(content)
    assert np.array_equal(read_channels(tmp_path / "a.tif")[..., 0], values)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "RGB", "L"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_other_colours_and_jpeg_are_as_pillow_shows_them(tmp_path: Path, mode: str, compression: str | None) -> None:
    picture = np.kron(RNG.integers(0, 256, (5, 7, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    options = {"compression": compression} if compression else {}
    Image.fromarray(picture).convert(mode).save(tmp_path / "a.tif", **options)
    with Image.open(tmp_path / "a.tif") as image:
        assert np.array_equal(read_image(tmp_path / "a.tif").pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("photometric", "samples", "dtype"), [("cielab", 3, "u2"), ("separated", 4, "u2"), ("cfa", 1, "u2")]
)
def test_what_would_come_out_different_is_refused_by_all_readers(
    tmp_path: Path, photometric: str, samples: int, dtype: str
) -> None:
    write(tmp_path / "a.tif", values_of(samples, dtype), photometric)
    for reader in (read_channels, read_image, read_id_map, image_size, read_header):
        with pytest.raises(
            MaskRCNNError, match=rf"a\.tif: a TIFF of a kind that is not read: {samples} samples"
        ) as told:
            reader(tmp_path / "a.tif")
        assert photometric.upper() in told.value.what
        assert told.value.fix


def test_a_name_without_its_suffix_is_still_a_tiff(tmp_path: Path) -> None:
    values = values_of(12, "u1")
    write(tmp_path / "a.png", values, "minisblack")
    assert np.array_equal(read_channels(tmp_path / "a.png"), values)


def test_other_files_that_a_file_names_are_not_opened(tmp_path: Path) -> None:
    """OME metadata may spread a series over files."""
    values = values_of(1, "u1")[..., 0]
    tifffile.imwrite(tmp_path / "b.ome.tif", values)
    tifffile.imwrite(tmp_path / "a.ome.tif", values, photometric="minisblack", metadata={"axes": "YX"})
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        told = str(tiff.ome_metadata).replace("<TiffData ", '<TiffData FirstC="0" ')
    tifffile.imwrite(tmp_path / "a.tif", values, description=told.replace("a.ome", "b.ome"), metadata=None)
    (tmp_path / "b.ome.tif").unlink()
    assert np.array_equal(read_channels(tmp_path / "a.tif")[..., 0], values)


def test_no_tile_is_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.tif", values_of(1, "u1"), "minisblack", tile=(512, 512), compression="zlib")
    monkeypatch.setattr(image_limits, "MAX_IMAGE_BYTES", 512 * 512)
    assert read_channels(tmp_path / "a.tif").shape == (HEIGHT, WIDTH, 1)
    monkeypatch.setattr(image_limits, "MAX_IMAGE_BYTES", 512 * 512 - 1)
    with pytest.raises(MaskRCNNError, match=r"a\.tif: expected at most 262,143 bytes"):
        read_channels(tmp_path / "a.tif")


def test_a_segment_gives_no_more_than_its_place(tmp_path: Path) -> None:
    """A strip of 1 MB that would decompress to 1 GB."""
    write(tmp_path / "a.tif", np.zeros((4096, 4096, 1), np.uint8), "minisblack", compression="zlib", rowsperstrip=4096)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        for code, number in ((256, 16), (257, 8)):
            tag = tiff.pages[0].tags[code]
            size = {3: 2, 4: 4}[int(tag.dtype)]
            content[tag.valueoffset : tag.valueoffset + size] = number.to_bytes(size, "little")
    (tmp_path / "a.tif").write_bytes(content)
    assert read_channels(tmp_path / "a.tif").shape == (8, 16, 1)


def test_a_damaged_file_is_read_or_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    kinds = [{}, {"compression": "zlib"}, {"tile": (16, 32)}, {"compression": "zlib", "predictor": True}]
    readers = {reader: Outcomes() for reader in (read_channels, read_image, read_id_map, image_size, read_header)}

    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def case(data: st.DataObject) -> None:
        photometric, samples = data.draw(st.sampled_from(KINDS))
        write(path, values_of(samples, "u2"), photometric, **data.draw(st.sampled_from(kinds)))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 4))):
            content[data.draw(st.integers(0, min(len(content), 500) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(8, len(content)))])
        for reader, outcomes in readers.items():
            error = outcomes.attempt(reader, path)
            assert error is None or ("a.tif" in str(error) and error.fix)

    case()
    for outcomes in readers.values():
        outcomes.check_both()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    for reader in (read_channels, read_image, read_id_map, image_size, read_header):
        with pytest.raises(MaskRCNNError, match=r"a\.tif"):
            reader(tmp_path / "a.tif")
