"""The features of one GeoJSON file: a collection, a list, one feature, or one a line; compressed or not."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import parse_json, shown

SUFFIXES = (".geojson", ".geojsonl", ".geojsons", ".geojson.gz", ".geojsonl.gz", ".geojsons.gz")
MAX_BYTES = 2**30  # decompressed
_EPSG = re.compile(r"EPSG:[\d.]*:?(\d{1,9})$", re.IGNORECASE)
_LONGITUDE_FIRST = re.compile(r"CRS84$", re.IGNORECASE)
_WGS84 = 4326


class GeoJson(NamedTuple):
    """What a file holds.

    Attributes:
        features: as written.
        crs: name of their coordinate system; "" where none is written.
        epsg: its number; None if unknown.
    """

    features: list[Any]
    crs: str = ""
    epsg: int | None = None


def suffix_of(path: Path) -> str:
    """The suffix by which a file is GeoJSON, as it is written; "" for another file."""
    name = path.name
    ending = max((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), key=len, default="")
    return name[len(name) - len(ending) :] if len(name) > len(ending) else ""


def read_geojson(path: Path) -> GeoJson:
    """The content of a file.

    Raises:
        MaskRCNNError: it cannot be read, or is no GeoJSON.
    """
    text = _text(path)
    if suffix_of(path).lower().removesuffix(".gz").lstrip(".") == "geojson":
        content = parse_json(text, path)
    else:
        content = [parse_json(line, path) for line in text.replace("\x1e", "").splitlines() if line.strip()]
    if isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    features = content.get("features") if isinstance(content, dict) else content
    if not isinstance(features, list):
        raise MaskRCNNError(f"expected features of GeoJSON, found {shown(content)}", where=path, fix="export it again")
    crs = content.get("crs") if isinstance(content, dict) else None
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    return GeoJson(features, name, _epsg(name)) if isinstance(name, str) else GeoJson(features)


def polygons_of(geometry: Any) -> Iterator[Any]:
    """The coordinates of each polygon of a geometry: its rings, of which the first is the outer one."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind == "Polygon":
        yield geometry.get("coordinates")
    elif kind == "MultiPolygon" and isinstance(geometry.get("coordinates"), list):
        yield from geometry["coordinates"]
    elif kind == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
        for part in geometry["geometries"]:
            yield from polygons_of(part)


def _epsg(name: str) -> int | None:
    if _LONGITUDE_FIRST.search(name):
        return _WGS84
    found = _EPSG.search(name)
    return int(found[1]) if found else None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            source = gzip.GzipFile(fileobj=stream) if path.name.lower().endswith(".gz") else stream
            content = source.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise MaskRCNNError(f"expected at most {MAX_BYTES:,} bytes of GeoJSON, found more", where=path)
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise MaskRCNNError(f"cannot be read: {str(error)[:200]}", where=path, fix="export it again") from None
