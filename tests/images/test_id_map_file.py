import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.id_map_file import open_id_map
from maskrcnn.images.image_reader import read_id_map

IDS = np.array([[0, 1, 2, 0], [3, 0, 100, 7], [0, 0, 5, 5]])
TYPES = (
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
)  # fmt: skip


@given(
    st.sampled_from(TYPES),
    st.sampled_from("<>"),
    st.sampled_from([{}, {"tile": (16, 16)}, {"rowsperstrip": 1}]),
    st.sampled_from([None, "deflate"]),
    st.sampled_from(["minisblack", "miniswhite"]),
)
@settings(max_examples=120, deadline=None)
def test_every_tiff_of_whole_numbers_is_read_as_stored(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, order: str, layout: dict, packed: str | None, zero: str
) -> None:
    ids = IDS.astype(dtype)
    if ids.dtype.itemsize >= 4:
        ids[2, 3] = 2_000_000 if dtype == "float32" else 2**31 - 1 if dtype == "int32" else 3_000_000_000
    path = tmp_path_factory.mktemp("ids") / "a.tif"
    tifffile.imwrite(path, ids, byteorder=order, compression=packed, photometric=zero, **layout)
    assert open_id_map(path).size == (3, 4)
    assert read_id_map(path).tolist() == ids.astype(int).tolist()
    assert read_id_map(path).dtype.isnative


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", "<>")
def test_arrays_are_read(tmp_path: Path, dtype: str, order: str) -> None:
    ids = IDS.astype(np.dtype(dtype).newbyteorder(order))
    np.save(tmp_path / "a.npy", ids)
    np.save(tmp_path / "b.npy", ids[..., None])
    assert (
        read_id_map(tmp_path / "a.npy").tolist() == read_id_map(tmp_path / "b.npy").tolist() == ids.astype(int).tolist()
    )


@pytest.mark.parametrize("packed", ["tiff_lzw", "packbits"])
@pytest.mark.parametrize(("mode", "dtype"), [("L", "u1"), ("I;16", "<u2"), ("I", "<i4"), ("F", "<f4")])
def test_what_tifffile_has_no_codec_for_is_read_by_pillow(tmp_path: Path, packed: str, mode: str, dtype: str) -> None:
    image = Image.fromarray(IDS.astype(dtype))
    assert image.mode == mode
    image.save(tmp_path / "a.tif", compression=packed)
    assert read_id_map(tmp_path / "a.tif").tolist() == IDS.tolist()


def test_each_page_is_read(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in range(3):
            file.write(IDS + page, contiguous=False)
    assert open_id_map(tmp_path / "a.tif").pages == 3
    assert read_id_map(tmp_path / "a.tif", 2).tolist() == (IDS + 2).tolist()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (IDS * 1.5, "whole numbers, found 1.5 in values of type float64"),
        (IDS.astype(np.float32) / 4, "whole numbers, found 0.25 in values of type float32"),
        (IDS - 1, "from 0 up, found -1 in values of type int64"),
        (np.full((2, 2), np.nan), "from 0 up, found nan in values of type float64"),
        (np.full((2, 2), np.inf), "from 0 up, found inf in values of type float64"),
        (np.full((2, 2), 2**63, dtype=np.uint64), "found 9223372036854775808 in values of type uint64"),
        (np.zeros((4, 5, 3)), "channels? of float64|of float64"),
    ],
)
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_what_holds_no_ids_is_told_with_its_type(tmp_path: Path, values: np.ndarray, told: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    else:
        tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack")
    with pytest.raises(MaskRCNNError, match=told) as error:
        read_id_map(path)
    assert "JPEG" not in str(error.value)


def test_no_object_is_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array({"masks": IDS}), allow_pickle=True)
    with pytest.raises(MaskRCNNError, match="can run code"):
        read_id_map(tmp_path / "a.npy")


@pytest.mark.parametrize("content", [b"", b"II*\x00", b"\x93NUMPY", b"junk" * 9])
@pytest.mark.parametrize("suffix", [".tif", ".npy", ".png"])
def test_damaged_files_are_one_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(MaskRCNNError) as error:
        read_id_map(tmp_path / f"a{suffix}")
    assert "JPEG" not in str(error.value)


def test_size_and_bytes_are_checked_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4), dtype=np.int64))
    for side, told in ((60_000, "at most 200,000,000 pixels"), (14_000, "at most 1,073,741,824 bytes")):
        with tifffile.TiffFile(path, mode="r+b") as file:
            for name in ("ImageWidth", "ImageLength"):
                file.pages.first.tags[name].overwrite(side)  # type: ignore[union-attr]
        with pytest.raises(MaskRCNNError, match=told):
            open_id_map(path)


def test_of_a_strip_that_inflates_only_the_map_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4), dtype=np.int64), compression="deflate")
    bomb = zlib.compress(bytes(2**28))
    content = path.read_bytes()
    path.write_bytes(content + bomb)
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages.first.tags  # type: ignore[union-attr]
        tags["StripOffsets"].overwrite(len(content))
        tags["StripByteCounts"].overwrite(len(bomb))
    tracemalloc.start()
    assert read_id_map(path).tolist() == np.zeros((4, 4)).tolist()
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_png_of_few_bits_is_read_as_stored(tmp_path: Path, bits: int) -> None:
    """Pillow shows 2 bits as 0, 85, 170, 255."""
    ids = np.arange(32).reshape(4, 8) % 2**bits
    rows = np.packbits((ids[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8).reshape(4, -1), axis=1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = (8).to_bytes(4, "big") + (4).to_bytes(4, "big") + bytes((bits, 0, 0, 0, 0))
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    assert read_id_map(tmp_path / "a.png").tolist() == ids.tolist()
