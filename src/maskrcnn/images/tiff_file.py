"""TIFF files: which pages hold images, and their pixels as stored, as channels for a model and as a picture.

Grey, RGB and palettes of integer samples are decoded by `tiff_codec`. Pillow decodes what needs a colour conversion or
an image codec (YCbCr, CMYK, Lab, JPEG, fax) if it has 8 bits; with more bits it is refused, since Pillow would return
other values than the file holds, or the first channel alone.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_limits import as_image_error, check_image_file, check_size
from maskrcnn.images.pillow_file import ON_WHITE, apply_orientation, open_with_pillow, pixel_values
from maskrcnn.images.tiff_codec import COMPRESSIONS, read_samples, sample_type

# tifffile logs what is wrong in a file to standard error, beside the error that reports it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAX_PAGES = 4096  # further pages are ignored
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = 0, 1, 2, 3
_CMYK, _YCBCR, _LAB = 5, 6, 8
_ORIENTATION, _SUB_FILES = 274, 330
_FAX_AND_JPEG = (2, 3, 4, 6, 7)  # by their numbers in the file
_REDUCED, _MASK = 1, 4  # bits of the tag NewSubfileType
_ASSOCIATED, _SEPARATE = 1, 2  # values of the tag ExtraSamples: colours multiplied by alpha, and not
_DAMAGED = "truncated or damaged TIFF"
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FIX = "save it as 8- or 16-bit RGB or grey, uncompressed or with deflate"


def is_tiff(path: Path) -> bool:
    """Whether the file begins as a TIFF does, whatever its name is; False if it cannot be read."""
    try:
        if not path.is_file():  # opening a pipe would block
            return False
        with path.open("rb") as file:
            return file.read(4) in _MAGIC
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class TiffPage:
    """One image of a TIFF file, its header read.

    Attributes:
        path, number: the file, and the page's place in it from 0 on.
        height, width: as stored, before the orientation.
        orientation: EXIF's 1..8.
        samples: in a pixel, extra ones included.
        bits, dtype: of a sample; dtype is what holds it.
        photometric: what the samples mean, the TIFF tag.
        extra: what each sample beyond those of the photometric interpretation means, the tag ExtraSamples.
        decoded_here: by `tiff_codec`, not by Pillow.
        palette: uint8 [2^bits, 3], if the samples are indices into it.
    """

    path: Path
    number: int
    height: int
    width: int
    orientation: int
    samples: int
    bits: int
    dtype: np.dtype[Any]
    photometric: int
    extra: tuple[int, ...]
    decoded_here: bool
    palette: np.ndarray | None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) after the orientation."""
        return (self.height, self.width) if self.orientation < 5 else (self.width, self.height)

    @property
    def grey(self) -> bool:
        """Whether the samples are brightnesses."""
        return self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)

    @property
    def alpha(self) -> int | None:
        """Which of the extra samples is the transparency; None if none is said to be."""
        return next((place for place, kind in enumerate(self.extra) if kind in (_ASSOCIATED, _SEPARATE)), None)

    @property
    def is_picture(self) -> bool:
        """Whether the samples are grey or colours and perhaps transparency, and nothing else."""
        return not self.decoded_here or self.samples - (self.alpha is not None) == (3 if self.photometric == RGB else 1)

    def stored(self) -> np.ndarray:
        """The samples [H, W, S] as stored, orientation applied: object ids are read from them.

        Raises:
            MaskRCNNError: damaged, or of a kind that is not read.
        """
        if self.decoded_here:
            return apply_orientation(self._samples(), self.orientation)
        return self._read_with_pillow(inverted=False)

    def channels(self) -> np.ndarray:
        """uint8 or uint16 [H, W, C]: grey from dark to bright, colours and all extra samples; of a palette its colours.

        Raises:
            MaskRCNNError: as `stored`, or the values are no whole numbers of 8 or 16 bits.
        """
        if not self.decoded_here:
            return self._read_with_pillow(inverted=True)
        return np.ascontiguousarray(apply_orientation(self.as_channels(self._samples()), self.orientation))

    def as_channels(self, values: np.ndarray) -> np.ndarray:
        """Samples [h, w, S] of `tiff_codec` as `channels` returns them, but not turned."""
        if self.palette is not None:
            colours, extra = self.palette[values[..., 0]], values[..., 1:]
            values = np.concatenate((colours, extra.astype(np.uint8)), axis=2) if extra.size else colours
        else:
            inverted = self.photometric == WHITE_IS_ZERO
            values = _as_16_bits(values, self.path, convertible=not inverted)
            if inverted:
                shades = values[..., : self.samples - len(self.extra)]
                np.subtract(values.dtype.type(2**self.bits - 1), shades, out=shades)
            if self.bits < 8:
                full = 2**self.bits - 1
                values = np.rint(np.arange(full + 1) * (255 / full)).astype(np.uint8)[values]
        return values

    def picture(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """[H, W, 1, 3 or 4] for display, the fourth channel transparency, and notes on samples that are left out.

        Grey samples of no stated meaning are returned as they are, for the reader to refuse, unless they are 3 or 4.
        """
        return self.as_picture(self.channels())

    def as_picture(self, values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """What `channels` or `as_channels` returned, [h, w, C], as `picture` returns it."""
        if not self.decoded_here or values.shape[2] == 1:
            return values, ()
        alpha = None if self.alpha is None else values.shape[2] - len(self.extra) + self.alpha
        bands = [place for place in range(values.shape[2]) if place != alpha]
        if self.grey and len(bands) not in (1, 3, 4):
            return values, ()
        shown = values[..., bands[:3]]
        notes = []
        if len(bands) > 3:
            notes.append(f"only the first 3 of {values.shape[2]} samples are shown: no meaning of the others is stated")
        if alpha is None:
            return shown, tuple(notes)
        shown = np.repeat(shown, 3, axis=2) if len(bands) == 1 else shown
        if self.extra[self.alpha or 0] == _SEPARATE:
            return np.concatenate((shown, values[..., alpha, None]), axis=2), tuple(notes)
        missing = np.iinfo(values.dtype).max - values[..., alpha, None]
        if missing.any():
            shown += np.minimum(missing, np.iinfo(values.dtype).max - shown)
            notes.append(ON_WHITE)
        return shown, tuple(notes)

    def _samples(self) -> np.ndarray:
        from tifffile import TiffFile

        with as_image_error(_DAMAGED, self.path), TiffFile(self.path) as tiff, self.path.open("rb") as file:
            return read_samples(file, tiff.pages[self.number], tiff.byteorder)

    def _read_with_pillow(self, inverted: bool) -> np.ndarray:
        """[H, W, 1, 3 or 4], orientation applied; ``inverted`` where white is zero."""
        with open_with_pillow(self.path) as image:
            image.seek(self.number)
            values = pixel_values(image)
        values = values[..., None] if values.ndim == 2 else values
        if self.photometric == WHITE_IS_ZERO and not inverted:
            values = ~values
        return values * np.uint8(255) if values.dtype == bool and inverted else values


def _as_16_bits(values: np.ndarray, path: Path, convertible: bool) -> np.ndarray:
    """Integers of another type as uint16 if all values fit; not ``convertible``: samples whose white is zero."""
    if values.dtype in (np.uint8, np.uint16):
        return values
    if not convertible or values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        what = f"expected pixels of type uint8 or uint16, found {values.dtype}"
        raise MaskRCNNError(what, where=path, fix="scale to 0..65535, convert with .astype('uint16') and save again")
    return values.astype(np.uint16)


def open_tiff(path: Path) -> list[TiffPage]:
    """The images of a TIFF file in their order, without reduced copies and masks.

    Raises:
        MaskRCNNError: missing, damaged, too large, or of a kind that is not read, by its first page.
    """
    check_image_file(path)
    try:
        from tifffile import TiffFile
    except ImportError as error:
        what = "a TIFF needs tifffile, which is not installed"
        raise MaskRCNNError(what, where=path, fix="pip install tifffile, or convert it to PNG") from error
    with as_image_error(_DAMAGED, path), TiffFile(path) as tiff:
        pages: list[tuple[int, Any]] = list(enumerate(itertools.islice(tiff.pages, MAX_PAGES)))
        full = [(number, page) for number, page in pages if not int(page.subfiletype) & (_REDUCED | _MASK)]
        if not full and _SUB_FILES in pages[0][1].tags:
            raise MaskRCNNError("a camera's raw data, of which a small preview alone can be read", fix=_FIX)
        return [read_page(path, number, page) for number, page in full or pages[:1]]


def read_page(path: Path, number: int, page: Any, *, whole: bool = True) -> TiffPage:
    """A tifffile page as ours.

    Args:
        whole: whether it is to be read whole, and so must not be too large.

    Raises:
        MaskRCNNError: it is too large, or of a kind that is not read.
    """
    photometric, extra = int(page.photometric), tuple(int(kind) for kind in page.extrasamples)
    dtype, samples = sample_type(page), page.samplesperpixel
    colours = {RGB: 3, PALETTE: 1}.get(photometric, 1)
    decoded_here = (
        page.compression in COMPRESSIONS
        and photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE)
        and dtype is not None
        and page.imagedepth == 1
        and samples >= colours + len(extra)
    )
    if not decoded_here and not _pillow_reads(page, photometric):
        kind, scheme = (getattr(value, "name", value) for value in (page.photometric, page.compression))
        found = f"{samples} samples of {page.bitspersample} bits, photometric {kind}, compression {scheme}"
        raise MaskRCNNError(f"a TIFF of a kind that is not read: {found}", fix=_FIX)
    tag = page.tags.get(_ORIENTATION)
    orientation = tag.value if tag is not None and tag.value in range(1, 9) else 1
    dtype = dtype if decoded_here and dtype is not None else np.dtype(np.uint8)
    if whole:
        check_size(page.imagelength, page.imagewidth, path, samples * dtype.itemsize)
    palette = _palette(page) if decoded_here and photometric == PALETTE else None
    bits = page.bitspersample if decoded_here else 8
    size = page.imagelength, page.imagewidth
    return TiffPage(path, number, *size, orientation, samples, bits, dtype, photometric, extra, decoded_here, palette)


def _pillow_reads(page: Any, photometric: int) -> bool:
    """Whether Pillow reads all of the page."""
    samples = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}.get(photometric)
    transparent = photometric == RGB and tuple(page.extrasamples) in ((), (_SEPARATE,))
    return (
        (page.compression in COMPRESSIONS or page.compression in _FAX_AND_JPEG)
        and (page.samplesperpixel == samples or (transparent and page.samplesperpixel == 4))
        and page.bitspersample in (1, 8)
        and page.sampleformat == 1
        and page.imagedepth == 1
    )


def _palette(page: Any) -> np.ndarray:
    """uint8 [2^bits, 3]."""
    colours = None if page.colormap is None else np.asarray(page.colormap)
    if colours is None or colours.shape != (3, 2**page.bitspersample) or sample_type(page).kind != "u":  # type: ignore[union-attr]
        raise MaskRCNNError("expected a palette of 2^bits colours", fix=_FIX)
    # Some writers fill in 8 of the 16 bits.
    return np.ascontiguousarray((colours >> (8 if colours.max() > 255 else 0)).astype(np.uint8).T)
