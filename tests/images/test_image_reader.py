import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torchvision  # noqa: F401 - then it decodes JPEG files
from PIL import Image, ImageOps

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images import image_limits
from maskrcnn.images.image_reader import as_rgb8, find_images, image_size, read_id_map, read_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7, 4)).astype(np.uint16)


def png16(pixels: np.ndarray) -> bytes:
    """A 16-bit PNG, written by hand because Pillow cannot."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def stretched(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.rint((values.astype(np.float64) - low) / (high - low) * 255)


def close(pixels: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(pixels.astype(int) - expected).max() <= 1)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.PNG", "a.ppm"])
def test_rgb_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    Image.fromarray(RGB).save(tmp_path / name)
    pixels, notes = read_image(tmp_path / name)
    assert pixels.dtype == np.uint8
    assert (pixels == RGB).all()
    assert notes == ()
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous
    assert image_size(tmp_path / name) == (5, 7)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(tmp_path: Path, orientation: int, suffix: str) -> None:
    blocks = np.kron(RGB, np.ones((8, 8, 1), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(blocks).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert (read_image(path).pixels == expected).all()
    assert image_size(path) == expected.shape[:2] == ((40, 56) if orientation < 5 else (56, 40))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_other_modes_equal_pillows_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(RGB).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    pixels, notes = read_image(path)
    assert (pixels == np.asarray(Image.open(path).convert("RGB"))).all()
    assert notes == ()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_alpha_is_dropped_quietly(tmp_path: Path, mode: str) -> None:
    Image.fromarray(RGB).convert(mode).save(tmp_path / "a.png")
    pixels, notes = read_image(tmp_path / "a.png")
    assert notes == ()
    expected = RGB if mode == "RGBA" else np.asarray(Image.fromarray(RGB).convert("L").convert("RGB"))
    assert (pixels == expected).all()


def test_transparency_goes_on_white(tmp_path: Path) -> None:
    alpha = RNG.integers(0, 256, (5, 7)).astype(np.uint8)
    image = Image.fromarray(np.dstack([RGB, alpha]))
    image.save(tmp_path / "a.png")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    pixels, notes = read_image(tmp_path / "a.png")
    assert close(pixels, np.asarray(white)[..., :3])
    assert notes == ("transparent pixels composited on white",)


def test_a_transparent_palette_colour_goes_on_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=0)
    pixels, notes = read_image(tmp_path / "a.png")
    assert pixels.tolist() == [[[255, 255, 255], [40, 50, 60]]]
    assert len(notes) == 1


def deep_files() -> list:
    files = [pytest.param("png", c, png16(DEEP[..., :c]), id=f"png{c}") for c in (1, 3)]
    for channels in (1, 3):
        for order in "<>":
            for compression in (None, "zlib"):
                file = io.BytesIO()
                values = DEEP[..., 0] if channels == 1 else DEEP[..., :3]
                kind = "minisblack" if channels == 1 else "rgb"
                tifffile.imwrite(file, values, byteorder=order, compression=compression, photometric=kind)
                files.append(pytest.param("tif", channels, file.getvalue(), id=f"tif{channels}{order}{compression}"))
    return files


@pytest.mark.parametrize(("suffix", "channels", "content"), deep_files())
def test_all_16_bits_are_stretched(tmp_path: Path, suffix: str, channels: int, content: bytes) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    values = DEEP[..., :channels]
    pixels, notes = read_image(path)
    assert close(pixels, stretched(values))
    assert notes == (f"16-bit values {values.min()}..{values.max()} stretched to 0..255",)


def test_the_lower_bytes_of_16_bit_colours_count(tmp_path: Path) -> None:
    dim = (DEEP[..., :3] % 200 + 1000).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png16(dim))
    pixels = read_image(tmp_path / "a.png").pixels
    assert close(pixels, stretched(dim))
    assert len(np.unique(pixels)) > 50


def test_16_bit_alpha_goes_on_white(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png16(DEEP))
    alpha = DEEP[..., 3:] / 65535
    assert close(read_image(tmp_path / "a.png").pixels, stretched(DEEP[..., :3] * alpha + 65535 * (1 - alpha)))


def test_of_several_frames_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "green", "blue")]
    for name in ("a.gif", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        pixels, notes = read_image(tmp_path / name)
        assert (pixels == [255, 0, 0]).all()
        assert len(notes) == 1
        assert "3 frames" in notes[0]
        assert "extract" in notes[0]


def test_the_pixel_limit_holds_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = png16(DEEP[..., :3])
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(huge[:16] + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + huge[33:])
    for function in (read_image, image_size):
        with pytest.raises(
            MaskRCNNError, match=r"at most 200,000,000 pixels, found 20000 x 20000 = 400,000,000.*tiles"
        ):
            function(path)
    monkeypatch.setattr(image_limits, "MAX_PIXELS", 35)
    Image.fromarray(RGB).save(path)
    assert image_size(path) == (5, 7)
    monkeypatch.setattr(image_limits, "MAX_PIXELS", 34)
    with pytest.raises(MaskRCNNError, match="at most 34 pixels"):
        image_size(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pillows_lower_limit_does_not_count_and_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    assert (read_image(path).pixels == RGB).all()
    assert Image.MAX_IMAGE_PIXELS == 3


def test_each_bad_file_has_its_own_message(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello, this is text")
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(np.kron(RGB, np.ones((20, 20, 1), dtype=np.uint8))).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.png").write_bytes(png16(DEEP)[:-60])
    Image.fromarray(RGB[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    told = {
        "missing.png": "no such image file",
        "empty.png": r"empty \(0 bytes\)",
        "text.png": "not an image: no known format begins with b'hello",
        "folder.png": "found a folder",
        "cut.jpg": "truncated or damaged",
        "cut.png": "truncated or damaged",
        "float.tif": "expected pixels of type uint8 or uint16, found float32",
    }
    for name, message in told.items():
        with pytest.raises(MaskRCNNError, match=message) as caught:
            read_image(tmp_path / name)
        assert str(caught.value).count(name) == 1
        assert caught.value.fix


def test_arrays() -> None:
    assert as_rgb8(RGB)[0].tolist() == RGB.tolist()
    grey = RGB[..., 0]
    for array in (grey, grey[..., None]):
        assert (as_rgb8(array)[0] == grey[..., None]).all()
        assert as_rgb8(array)[0].shape == (5, 7, 3)
    assert as_rgb8(grey > 100)[0].max() == 255
    pixels, notes = as_rgb8(np.array([[100, 300], [200, 500]], dtype=np.uint16))
    assert pixels[..., 0].tolist() == [[0, 128], [64, 255]]
    assert notes == ("16-bit values 100..500 stretched to 0..255",)
    assert (as_rgb8(np.full((2, 2), 9, dtype=np.uint16))[0] == 0).all()
    assert close(as_rgb8(DEEP[..., 0].astype(">u2"))[0][..., 0], stretched(DEEP[..., 0]))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (RGB / 255, r"found float64 \(scale to 0..255"),
        (RGB.astype(np.int32), "found int32"),
        (RGB.transpose(2, 0, 1), r"found shape \[3, 5, 7\] \(use image.transpose"),
        (RGB[None], "found shape"),
        (np.zeros((0, 4, 3), dtype=np.uint8), "found shape"),
        (np.zeros((4, 4, 2), dtype=np.uint8), "found shape"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array: np.ndarray, told: str) -> None:
    with pytest.raises(MaskRCNNError, match=told):
        as_rgb8(array)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32])
def test_ids_are_read_as_stored(tmp_path: Path, dtype: type) -> None:
    ids = (RNG.integers(0, 2, (5, 7)) * (1 if dtype is bool else 200 if dtype is np.uint8 else 40_000)).astype(dtype)
    for name in ("a.png", "a.tif"):
        if dtype is np.int32 and name == "a.png":
            continue
        Image.fromarray(ids).save(tmp_path / name)
        assert read_id_map(tmp_path / name).tolist() == ids.astype(int).tolist()


def test_palette_indices_are_ids_and_colours_are_not(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 2, 1]], dtype=np.uint8), "P")
    image.putpalette([0, 0, 0, 9, 9, 9, 5, 5, 5])
    image.save(tmp_path / "a.png")
    assert read_id_map(tmp_path / "a.png").tolist() == [[0, 2, 1]]
    Image.fromarray(RGB).save(tmp_path / "b.png")
    with pytest.raises(MaskRCNNError, match="found mode RGB"):
        read_id_map(tmp_path / "b.png")
    Image.fromarray(np.full((2, 2), -1, dtype=np.int32)).save(tmp_path / "c.tif")
    with pytest.raises(MaskRCNNError, match="found -1"):
        read_id_map(tmp_path / "c.tif")


def test_find_images(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "folder.png").mkdir()
    for name in ("b.JPG", "a.png", "c.txt", "._a.png", "e.npy", "sub/d.webp"):
        (tmp_path / name).touch()
    assert [p.name for p in find_images(tmp_path)] == ["a.png", "b.JPG", "e.npy"]
    assert [p.name for p in find_images(tmp_path, recursive=True)] == ["a.png", "b.JPG", "e.npy", "d.webp"]
    with pytest.raises(MaskRCNNError, match="expected a folder"):
        find_images(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(480, 640), (477, 631), (9, 11)])
@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_jpeg_comes_smaller_where_that_is_asked_for(tmp_path: Path, size: tuple[int, int], shrink: int) -> None:
    rows, columns = np.ogrid[: size[0], : size[1]]
    smooth = np.stack([rows % 200 + 0 * columns, columns % 200 + 0 * rows, (rows + columns) % 200], axis=-1)
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    small = read_image(tmp_path / "a.jpg", shrink).pixels
    assert small.shape == (-(-size[0] // shrink), -(-size[1] // shrink), 3)
    expected = Image.fromarray(read_image(tmp_path / "a.jpg").pixels).reduce(shrink)
    assert np.abs(small.astype(int) - np.asarray(expected)).mean() < 6
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", shrink).pixels.shape == (*size, 3)


def test_a_turned_jpeg_does_not_come_smaller(tmp_path: Path) -> None:
    """Its odd pixels would lie at the other end."""
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(np.kron(RGB, np.ones((9, 9, 1), dtype=np.uint8))).save(tmp_path / "a.jpg", exif=exif)
    assert (read_image(tmp_path / "a.jpg", 4).pixels == read_image(tmp_path / "a.jpg").pixels).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30, "optimize": True}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_is_what_pillow_makes_of_it(tmp_path: Path, mode: str, options: dict) -> None:
    """Torchvision is loaded here and decodes it, but for CMYK."""
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (75, 101, 3), dtype=np.uint8)).convert(mode)
    noise.save(tmp_path / "a.jpg", **options)
    assert (read_image(tmp_path / "a.jpg").pixels == np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB"))).all()
