"""The samples of a TIFF page, exactly as stored, whatever their byte order, depth, predictor and layout.

tifffile parses the page. Pillow's libtiff decompresses: it gets a plane of segments as an 8-bit grey image whose pixels
are the bytes of the rows, so that neither depth nor number of samples matters, and no segment can expand to more bytes
than its place in the image takes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_limits import check_bytes
from maskrcnn.images.pillow_file import no_pillow_limit

UNCOMPRESSED = 1
# By the number of the scheme in the file.
COMPRESSIONS = {
    UNCOMPRESSED: "none",
    5: "LZW",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34925: "LZMA",
    50000: "Zstandard",
}
_HORIZONTAL, _FLOATING = 2, 3
_SEPARATE = 2
_LSB_FIRST = 2
_SHORT, _LONG = 3, 4  # types of TIFF entries
_BLOCK = 2**22  # bytes that are unpacked at a time
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}


class Segments(NamedTuple):
    """How strips or tiles lie in a plane: a grid, each with its own rows of whole bytes.

    Attributes:
        across, down: number of segments.
        rows, columns: pixels of a segment.
        height: rows of all segments; strips end with the image, tiles may reach beyond it.
        samples: in a pixel of the plane.
        row_bytes: bytes of a row of a segment.
    """

    across: int
    down: int
    rows: int
    columns: int
    height: int
    samples: int
    row_bytes: int

    @classmethod
    def of(cls, page: Any) -> Segments:
        """The grid of a tifffile page."""
        height, width = page.imagelength, page.imagewidth
        samples = 1 if page.planarconfig == _SEPARATE else page.samplesperpixel
        rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip or height, width)
        rows = rows if page.is_tiled else min(rows, height)
        if min(rows, columns) < 1:
            raise MaskRCNNError(f"tiles of {columns} x {rows} pixels", fix="write it again")
        down = -(-height // rows)
        row_bytes = -(-columns * samples * page.bitspersample // 8)
        total = down * rows if page.is_tiled else height
        return cls(-(-width // columns), down, rows, columns, total, samples, row_bytes)

    def part(self, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[Segments, list[int], tuple[int, int]]:
        """The segments that hold pixels of a window.

        Args:
            rows, columns: first and behind the last.

        Returns:
            Their grid, their numbers in the whole one, and the (row, column) of the grid's first pixel.
        """
        top, bottom = rows[0] // self.rows, -(-rows[1] // self.rows)
        left, right = columns[0] // self.columns, -(-columns[1] // self.columns)
        height = min(self.height - top * self.rows, (bottom - top) * self.rows)
        part = self._replace(across=right - left, down=bottom - top, height=height)
        numbers = [y * self.across + x for y in range(top, bottom) for x in range(left, right)]
        return part, numbers, (top * self.rows, left * self.columns)

    def places(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of bytes of each segment in the plane."""
        for number in range(self.across * self.down):
            y, x = divmod(number, self.across)
            rows = slice(y * self.rows, min((y + 1) * self.rows, self.height))
            yield rows, slice(x * self.row_bytes, (x + 1) * self.row_bytes)


def sample_type(page: Any) -> np.dtype[Any] | None:
    """The type that holds the samples of a tifffile page; None if there is none, or they differ in depth."""
    bits, form = page.bitspersample, page.sampleformat
    kind = _KINDS.get(form) if isinstance(form, int) else None
    if not isinstance(bits, int) or kind is None or bits < 1:
        return None
    if bits in (8, 16, 32, 64) and not (kind == "f" and bits == 8):
        return np.dtype(f"{kind}{bits // 8}")
    return np.dtype("u1" if bits < 8 else "u2") if kind == "u" and bits < 16 else None


def read_samples(file: IO[bytes], page: Any, byte_order: str) -> np.ndarray:
    """All samples of a page, [H, W, S] of `sample_type`; see `read_window`."""
    return read_window(file, page, byte_order, (0, page.imagelength), (0, page.imagewidth))


def read_window(
    file: IO[bytes], page: Any, byte_order: str, rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """The samples of a window of a page, [h, w, S] of `sample_type`; only segments that hold some are read.

    Args:
        file: the file, opened.
        page: of tifffile; its compression is in `COMPRESSIONS`.
        byte_order: of the file, "<" or ">".
        rows, columns: first and behind the last, within the page.

    Raises:
        MaskRCNNError: damaged, of a predictor that does not go with its depth, or too large.
        ValueError: cut short.
    """
    whole, dtype = Segments.of(page), sample_type(page)
    assert dtype is not None
    grid, numbers, (top, left) = whole.part(rows, columns)
    # A tile may be larger than its image.
    check_bytes(grid.height * grid.across * grid.row_bytes)
    planes = page.samplesperpixel if page.planarconfig == _SEPARATE else 1
    count = whole.across * whole.down
    found = min(len(page.dataoffsets), len(page.databytecounts))
    if found < planes * count:
        raise ValueError(f"expected {planes * count} segments, found {found}")
    parts = []
    for plane in range(planes):
        own = [(page.dataoffsets[plane * count + k], page.databytecounts[plane * count + k]) for k in numbers]
        stored = _stored_bytes(file, page, grid, own)
        part = _to_samples(stored, page, grid, dtype, byte_order)
        for (place, bytes_), (offset, length) in zip(grid.places(), own, strict=True):
            if not (offset and length):
                part[place, bytes_.start // grid.row_bytes] = page.nodata
        part = part.reshape(grid.height, grid.across * grid.columns, grid.samples)
        parts.append(part[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left])
    return parts[0] if planes == 1 else np.concatenate(parts, axis=2)


def _stored_bytes(file: IO[bytes], page: Any, grid: Segments, where: Sequence[tuple[int, int]]) -> np.ndarray:
    """The bytes of a plane, uint8 [height, across * row_bytes]; arbitrary for segments absent from a sparse file."""
    if page.compression != UNCOMPRESSED:
        return _decompressed(file, page, grid, where)
    stored = np.zeros((grid.height, grid.across * grid.row_bytes), dtype=np.uint8)
    for (rows, columns), (offset, length) in zip(grid.places(), where, strict=True):
        if offset and length:
            part = stored[rows, columns]
            file.seek(offset)
            data = file.read(part.size)
            if len(data) < part.size:
                raise ValueError(f"expected {part.size} bytes, found {len(data)}")
            part[:] = np.frombuffer(data, dtype=np.uint8).reshape(part.shape)
    if page.fillorder == _LSB_FIRST:
        order = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]
        stored = order[stored]
    return stored


def _decompressed(file: IO[bytes], page: Any, grid: Segments, where: Sequence[tuple[int, int]]) -> np.ndarray:
    """As `_stored_bytes`, of compressed segments, decoded by libtiff."""
    present = next(((offset, length) for offset, length in where if offset and length), None)
    if present is None:
        return np.zeros((grid.height, grid.across * grid.row_bytes), dtype=np.uint8)
    data = []
    for offset, length in where:
        # An absent segment is decoded from the bytes of a present one; its values are replaced later.
        start, size = (offset, length) if offset and length else present
        file.seek(start)
        data.append(file.read(size))
    head = _grey_tiff_head(page, grid, [len(part) for part in data])
    try:
        with no_pillow_limit(), Image.open(io.BytesIO(b"".join((head, *data))), formats=("TIFF",)) as image:
            image.load()
            return np.array(image)
    except OSError as error:
        scheme = COMPRESSIONS[page.compression]
        what = f"truncated or damaged TIFF, or no decoder for its compression, {scheme}: {error}"
        raise MaskRCNNError(what, fix="copy it again, or save it with deflate") from error


def _grey_tiff_head(page: Any, grid: Segments, lengths: Sequence[int]) -> bytes:
    """The head of a little-endian TIFF of 8-bit grey, after which the segments follow."""
    number = len(lengths)
    shorts = {258: 8, 259: page.compression, 262: 1, 266: int(page.fillorder), 277: 1}
    longs = {256: grid.across * grid.row_bytes, 257: grid.height}
    longs |= {322: grid.row_bytes, 323: grid.rows} if page.is_tiled else {278: grid.rows}
    entries = len(shorts) + len(longs) + 2
    lists_at = 8 + 2 + 12 * entries + 4
    data_at = lists_at + 8 * number
    if data_at + sum(lengths) >= 2**32:
        raise MaskRCNNError("more than 4 GiB of compressed data", fix="cut the image into tiles")
    starts = data_at + np.cumsum([0, *lengths[:-1]])
    # A list of one value is stored in its entry, a longer one after the entries.
    values = (starts[0], lengths[0]) if number == 1 else (lists_at, lists_at + 4 * number)
    lists = dict(zip((324, 325) if page.is_tiled else (273, 279), values, strict=True))
    directory = b"".join(
        struct.pack("<HHII", tag, _SHORT if tag in shorts else _LONG, number if tag in lists else 1, value)
        for tag, value in sorted((shorts | longs | lists).items())
    )
    head = b"II*\0" + struct.pack("<IH", 8, entries) + directory + bytes(4)
    return head + np.array([*starts, *lengths], dtype="<u4").tobytes()


def _to_samples(stored: np.ndarray, page: Any, grid: Segments, dtype: np.dtype[Any], byte_order: str) -> np.ndarray:
    """Bytes to samples, [height, across, columns, samples], the predictor undone."""
    shape = (grid.height, grid.across, grid.columns, grid.samples)
    bits, predictor = page.bitspersample, page.predictor
    whole = bits == 8 * dtype.itemsize
    known = predictor == 1 or (whole and (predictor == _HORIZONTAL or (predictor == _FLOATING and dtype.kind == "f")))
    if not known:
        what = f"a TIFF with predictor {int(predictor)} on {bits}-bit samples"
        raise MaskRCNNError(what, fix="write it without a predictor")
    if not whole:
        return _from_bits(stored, bits, dtype, grid).reshape(shape)
    if predictor == _FLOATING:
        return _undo_floating(stored, dtype, shape)
    unsigned = np.dtype(f"{byte_order}u{dtype.itemsize}")
    values = stored.view(unsigned)
    if not unsigned.isnative:
        values = values.byteswap(inplace=True).view(unsigned.newbyteorder())
    values = values.reshape(shape)
    if predictor == _HORIZONTAL:
        np.cumsum(values, axis=2, dtype=values.dtype, out=values)
    return values.view(dtype)


def _from_bits(stored: np.ndarray, bits: int, dtype: np.dtype[Any], grid: Segments) -> np.ndarray:
    """Samples that share bytes: the highest bit comes first, rows begin with a byte."""
    rows = stored.reshape(-1, grid.row_bytes)
    number = grid.columns * grid.samples
    values = np.empty((len(rows), number), dtype=dtype)
    weights = (1 << np.arange(bits)[::-1]).astype(dtype)
    step = max(_BLOCK // grid.row_bytes, 1)
    for first in range(0, len(rows), step):
        single = np.unpackbits(rows[first : first + step], axis=1)[:, : number * bits]
        values[first : first + step] = single.reshape(-1, number, bits) @ weights
    return values


def _undo_floating(stored: np.ndarray, dtype: np.dtype[Any], shape: tuple[int, int, int, int]) -> np.ndarray:
    """Adobe's technical note 3: differences of bytes; all highest bytes of a row come first."""
    height, across, columns, samples = shape
    differences = stored.reshape(height, across, columns * dtype.itemsize, samples)
    whole = np.cumsum(differences, axis=2, dtype=np.uint8)
    planes = whole.reshape(height, across, dtype.itemsize, columns * samples)
    values = np.ascontiguousarray(planes.swapaxes(2, 3)).view(dtype.newbyteorder(">"))
    return values.reshape(shape).astype(dtype)
