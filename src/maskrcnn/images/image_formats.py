"""Which image files are read: the formats, their suffixes, and a note on files of other kinds.

Formats of one picture a file are read, by those of Pillow's own decoders that start no other program (as EPS does);
HEIC where pillow-heif is installed.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from PIL import features

from maskrcnn.text import plural

_HEIF = {"HEIF": (".heic", ".heif", ".hif")}
# Pillow's names. Formats without a clear signature come last.
_PILLOW = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "AVIF": (".avif",),
    "QOI": (".qoi",),
    "SGI": (".sgi",),
    "SUN": (".ras",),
    "PCX": (".pcx",),
    "TGA": (".tga",),
}
_NEEDS = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}

HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None
PILLOW_FORMATS = tuple(name for name in _PILLOW if name not in _NEEDS or features.check(_NEEDS[name]))
IMAGE_SUFFIXES = frozenset(suffix for name in PILLOW_FORMATS for suffix in _PILLOW[name]) | frozenset(
    (".npy", *(_HEIF["HEIF"] if HAS_HEIF else ()))
)
CONVERT = "convert it to PNG, JPEG or TIFF"
HEIF_FIX = "pip install pillow-heif, or convert it to JPEG"

_COMPANIONS = (  # suffixes of files that belong beside images
    *(".geojson", ".geojsonl", ".geojsons", ".geojson.gz", ".geojsonl.gz", ".geojsons.gz"),
    *(".cfg", ".csv", ".db", ".dat", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".names", ".py"),
    *(".sh", ".toml", ".tsv", ".txt", ".xml", ".xmp", ".yaml", ".yml"),
)
_SHOWN = 5


def is_heif(start: bytes) -> bool:
    """Whether the first 12 bytes of a file are those of HEIC or HEIF."""
    return start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


def skipped_files_note(files: Iterable[Path]) -> str:
    """One line on the files that are neither supported images nor labels, with the reason; "" for none."""
    kinds = Counter(
        path.suffix.lower()
        for path in files
        if path.suffix
        and path.suffix.lower() not in IMAGE_SUFFIXES
        and not path.name.lower().endswith(_COMPANIONS)
        and not path.name.startswith(".")
        and path.is_file()
    )
    if not kinds:
        return ""
    listed = [f"{count} {suffix}" for suffix, count in kinds.most_common(_SHOWN)]
    more = f", {len(kinds) - _SHOWN} more kinds" if len(kinds) > _SHOWN else ""
    heif = not HAS_HEIF and any(suffix in kinds for suffix in _HEIF["HEIF"])
    fix = "for HEIC pip install pillow-heif; " if heif else ""
    return (
        f"{plural(sum(kinds.values()), 'file')} left out, of no kind that is read: {', '.join(listed)}{more} "
        f"({fix}{CONVERT.replace('it', 'them', 1)})"
    )
