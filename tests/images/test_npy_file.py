"""Files of many channels: what is read is what was stored, and nothing is allocated on a file's word alone."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images import image_limits, npy_file
from maskrcnn.images.image_reader import image_size, read_channels, read_header, read_image

RNG = np.random.default_rng(0)


def pixels(channels: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max + 1, (20, 30, channels), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4, 12])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, dtype: type, channels: int, order: str) -> None:
    values = pixels(channels, dtype)
    np.save(tmp_path / "a.npy", np.asarray(values, order=order))  # type: ignore[call-overload]
    read = read_channels(tmp_path / "a.npy")
    assert np.array_equal(read, values)
    assert read.dtype == dtype
    assert read.flags.c_contiguous
    assert read.flags.writeable
    assert image_size(tmp_path / "a.npy") == (20, 30)
    header = read_header(tmp_path / "a.npy")
    assert (header.size, header.channels, header.mode) == ((20, 30), channels, str(np.dtype(dtype)))


def test_npy_of_two_dimensions_of_another_byte_order_and_of_booleans(tmp_path: Path) -> None:
    values = pixels(1, np.uint16)[..., 0]
    for name, array in (("a", values), ("b", values.astype(">u2")), ("c", values > 30_000)):
        np.save(tmp_path / f"{name}.npy", array)
    assert np.array_equal(read_channels(tmp_path / "a.npy"), values[..., None])
    assert np.array_equal(read_channels(tmp_path / "b.npy"), values[..., None])
    assert read_channels(tmp_path / "b.npy").dtype.isnative
    assert np.array_equal(read_channels(tmp_path / "c.npy")[..., 0], (values > 30_000) * np.uint8(255))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4, 5, 12])
@pytest.mark.parametrize("layout", ["interleaved", "planes", "pages"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff(tmp_path: Path, dtype: type, channels: int, layout: str, compression: str | None) -> None:
    values, path = pixels(channels, dtype), tmp_path / "a.tif"
    if layout == "interleaved":
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig", compression=compression)
    elif layout == "planes":
        planes = values.transpose(2, 0, 1)
        tifffile.imwrite(path, planes, photometric="minisblack", planarconfig="separate", compression=compression)
    else:
        with tifffile.TiffWriter(path) as file:
            for channel in range(channels):
                file.write(values[..., channel], photometric="minisblack", compression=compression)
    assert np.array_equal(read_channels(path), values)
    assert image_size(path) == (20, 30)


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("P", 3), ("I;16", 1), ("1", 1), ("CMYK", 3)]
)
def test_what_pillow_opens(tmp_path: Path, mode: str, channels: int) -> None:
    image = (
        Image.fromarray(pixels(1, np.uint16)[..., 0]) if mode == "I;16" else Image.fromarray(pixels(3)).convert(mode)
    )
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    values = read_channels(path)
    assert values.shape == (20, 30, channels)
    assert values.dtype == (np.uint16 if mode == "I;16" else np.uint8)
    if mode in ("L", "RGB", "RGBA", "I;16"):
        assert np.array_equal(values.squeeze(), np.asarray(image))
    if mode == "1":
        assert set(np.unique(values)) == {0, 255}


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels(3)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_channels(tmp_path / "a.png"), read_image(tmp_path / "a.png").pixels)
    assert read_channels(tmp_path / "a.png").shape == (30, 20, 3)


def test_as_a_picture_a_stack_is_rgb_or_refused(tmp_path: Path) -> None:
    for channels in (1, 3, 12):
        np.save(tmp_path / f"{channels}.npy", pixels(channels))
    assert read_image(tmp_path / "1.npy").pixels.shape == (20, 30, 3)
    assert np.array_equal(read_image(tmp_path / "3.npy").pixels, read_channels(tmp_path / "3.npy"))
    with pytest.raises(MaskRCNNError, match=r"12\].*choose three of its channels, or train a model on 12") as caught:
        read_image(tmp_path / "12.npy")
    assert "12.npy" in str(caught.value)


class Trap:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    trap = Trap(tmp_path / "ran")
    np.save(tmp_path / "a.npy", np.array([trap], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(trap))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(MaskRCNNError, match=name):
            read_channels(tmp_path / name)
    assert not trap.marker.exists()


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((4, 5), np.float32), "expected values of type uint8 or uint16, found float32"),
        (np.zeros((4, 5), np.int32), "found int32"),
        (np.zeros((12, 200, 300), np.uint8), r"found shape \[12, 200, 300\].*image.transpose\(1, 2, 0\)"),
        (np.zeros((2, 4, 5, 3), np.uint8), r"found shape \[2, 4, 5, 3\].*one image a file"),
        (np.zeros((0, 5), np.uint8), r"found shape \[0, 5\]"),
        (np.zeros(7, np.uint8), r"found shape \[7\]"),
    ],
)
def test_arrays_that_are_no_image(tmp_path: Path, array: np.ndarray, told: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(MaskRCNNError, match=told) as caught:
        read_channels(tmp_path / "a.npy")
    assert str(caught.value).count("a.npy") == 1
    assert caught.value.fix


def test_files_that_are_cut_short(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", pixels(12))
    tifffile.imwrite(tmp_path / "b.tif", pixels(12), photometric="minisblack", planarconfig="contig")
    for name in ("a.npy", "b.tif"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(MaskRCNNError, match=name) as caught:
            read_channels(path)
        assert caught.value.fix
    (tmp_path / "c.npy").touch()
    with pytest.raises(MaskRCNNError, match="empty"):
        read_channels(tmp_path / "c.npy")
    with pytest.raises(MaskRCNNError, match="no such image file"):
        read_channels(tmp_path / "d.npy")


def test_sizes_are_checked_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header may promise anything; so may the number of pages."""
    header = np.lib.format.header_data_from_array_1_0(pixels(1)) | {"shape": (100_000, 100_000, 12)}
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    tifffile.imwrite(tmp_path / "b.tif", pixels(12), photometric="minisblack", planarconfig="contig")
    with pytest.raises(MaskRCNNError, match=r"a\.npy"):
        read_channels(tmp_path / "a.npy")
    monkeypatch.setattr(image_limits, "MAX_PIXELS", 599)
    for reader in (read_channels, image_size, read_image):
        with pytest.raises(MaskRCNNError, match="at most 599 pixels, found 30 x 20 = 600"):
            reader(tmp_path / "b.tif")
    monkeypatch.setattr(image_limits, "MAX_PIXELS", 600)
    assert read_channels(tmp_path / "b.tif").shape == (20, 30, 12)
    monkeypatch.setattr(npy_file, "MAX_CHANNELS", 11)
    with pytest.raises(MaskRCNNError, match="at most 11 channels"):
        read_channels(tmp_path / "b.tif")


def test_pages_that_are_no_channels(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "sizes.tif") as file:
        file.write(pixels(1)[..., 0])
        file.write(pixels(1)[:10, :, 0])
    with pytest.raises(MaskRCNNError, match=r"page 1 is 30 x 20 with .*, page 2 30 x 10 with .*uint8"):
        read_channels(tmp_path / "sizes.tif")
    with tifffile.TiffWriter(tmp_path / "kinds.tif") as file:
        file.write(pixels(1)[..., 0])
        file.write(pixels(1, np.uint16)[..., 0])
    with pytest.raises(MaskRCNNError, match=r"1 sample of type uint8, page 2 .* 1 sample of type uint16"):
        read_channels(tmp_path / "kinds.tif")
    frames = [Image.fromarray(pixels(3)) for _ in range(3)]
    frames[0].save(tmp_path / "colours.tif", save_all=True, append_images=frames[1:])
    assert np.array_equal(read_channels(tmp_path / "colours.tif"), np.asarray(frames[0]))
    with tifffile.TiffWriter(tmp_path / "many.tif") as file:
        for _ in range(65):
            file.write(pixels(1)[..., 0])
    with pytest.raises(MaskRCNNError, match="at most 64 pages, one a channel, found 65"):
        read_channels(tmp_path / "many.tif")
