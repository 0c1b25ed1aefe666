"""GeoJSON: one file an image, with its objects as polygons, from QuPath or a geographic information system.

The labels of NAME.tif are NAME.geojson, .geojsonl or one of these with .gz, beside it or in labels/ beside images/; one
image and one such file alone in a folder belong together under any names. Coordinates are pixels of full resolution, or
those of the image's own coordinate system where it has one and they lie in the image so. Inner rings are holes,
the parts of a MultiPolygon are one object; points and lines have no area and are left out.

An object's class is QuPath's classification, else the property class, label or name, else "object".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.geojson_file import GeoJson, read_geojson, suffix_of
from maskrcnn.datasets.formats.geojson_shapes import DEFAULT_CLASS, class_name, feature_annotations, without_area
from maskrcnn.datasets.formats.location import Location, split_folders_that
from maskrcnn.datasets.formats.reader_checks import require_images, stored_labels
from maskrcnn.datasets.formats.reserved_names import NO_CLASS
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_reader import find_images
from maskrcnn.rasters.georeference import Georeference, read_georeference
from maskrcnn.rasters.raster_size import raster_size
from maskrcnn.text import plural


def find(path: Path) -> dict[str, Location]:
    """The folders of GeoJSON files of the splits of a folder, the folder itself, or one such file."""
    if path.is_file():
        return {"": Location(path)} if suffix_of(path) else {}
    return split_folders_that(lambda folder: bool(_files(folder)), path, "labels", "annotations")


def _files(place: Path) -> list[Path]:
    """The GeoJSON files of a folder, or the one that `place` is."""
    if place.is_file():
        return [place]
    there = place.iterdir() if place.is_dir() else ()
    return sorted(file for file in there if suffix_of(file) and not file.name.startswith("."))


def read(place: Location) -> Labels:
    """The data set of a folder of GeoJSON files and images.

    Raises:
        MaskRCNNError: no image there can be used.
    """
    files = _files(place.path)
    contents = [_content(file) for file in files]
    others = [_content(file) for other in place.siblings if other != place.path for file in _files(other)]
    classes = _classes([*contents, *others])
    records: list[ImageRecord] = []
    annotations: list[list[Annotation]] = []
    problems: list[Problem] = []
    images = _images(place.path)
    for file, content in zip(files, contents, strict=True):
        try:
            if isinstance(content, DataError):
                raise content
            image = _image_of(file, files, images)
            record, georeference = _record(image, file, len(records) + 1)
            found, bad = feature_annotations(content, file, classes, record.size, georeference)
        except DataError as error:
            lost = 0 if isinstance(content, DataError) else len(content.features)
            problems.append(error.problem(file, 1, lost))
            continue
        records.append(record)
        annotations.append(found)
        problems += bad
    what = f"none of {plural(len(files), 'GeoJSON file')} can be used"
    require_images(records, what, problems, place.path, "put each beside its image, with the image's name")
    return stored_labels(classes, records, annotations, problems, place.path)


def _content(file: Path) -> GeoJson | DataError:
    try:
        return read_geojson(file)
    except MaskRCNNError as error:
        return DataError("bad-file", error.what, fix=error.fix)


def _images(place: Path) -> list[Path]:
    """The images that may be labelled: those beside the files, then those of images/."""
    folder = place.parent if place.is_file() else place
    trees = folder / "images", folder.parent / "images", folder.parent / "images" / folder.name
    folders = dict.fromkeys((folder, *trees))
    return [image for there in folders if there.is_dir() for image in find_images(there)]


def _image_of(file: Path, files: Sequence[Path], images: Sequence[Path]) -> Path:
    """The image of a file: that of its name, or the only one."""
    stem = file.name[: -len(suffix_of(file))].lower()
    named = [image for image in images if stem in (image.stem.lower(), image.name.lower())]
    if named:
        return named[0]
    beside = [image for image in images if image.parent == file.parent]
    if len(beside) == 1 and len(files) == 1:
        return beside[0]
    raise DataError("missing-image", f"no image {stem}", fix=f"give the image and {file.name} one name")


def _record(image: Path, file: Path, number: int) -> tuple[ImageRecord, Georeference | None]:
    try:
        return ImageRecord(number, image, *raster_size(image), file), read_georeference(image)
    except MaskRCNNError as error:
        raise DataError("unreadable-image", str(error)) from error


def _classes(contents: Sequence[GeoJson | DataError]) -> dict[str, int]:
    """The classes of all features that are areas, sorted."""
    features = (feature for content in contents if isinstance(content, GeoJson) for feature in content.features)
    used = {class_name(feature) for feature in features if not without_area(feature)}
    return {name: label for label, name in enumerate(sorted(used - {*NO_CLASS}) or [DEFAULT_CLASS])}
