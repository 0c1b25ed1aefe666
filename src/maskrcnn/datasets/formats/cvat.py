"""CVAT for images 1.1: one annotations.xml with the shapes of all images, which lie in images/.

Polygons, ellipses and masks are parts of objects; shapes of one label and one group_id are one object. A box is an
object with a box and no mask. Polylines, points, cuboids and skeletons have no area and are left out, tags are no
objects; a label that is only for those, or for a part of a skeleton, is no class. An image's `subset` is its split. A
mask's `rle` are the lengths of alternating runs of 0 and 1 along the rows of its box. Crowds have the attribute
is_crowd, as in CVAT's own conversion from COCO. Other attributes are not read.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from maskrcnn.annotations.annotation import Annotation, clipped_box
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.image_finder import ImageFinder
from maskrcnn.datasets.formats.location import Location, is_cvat
from maskrcnn.datasets.formats.reader_checks import checked_size, require_images, stored_labels
from maskrcnn.datasets.formats.shape_groups import Shape, checked_points, cut_to_image, ellipse, objects_of, turned
from maskrcnn.datasets.formats.split_names import split_folders
from maskrcnn.datasets.formats.xml_tree import elements
from maskrcnn.masks.crop import Crop
from maskrcnn.text import plural

_MAX_BYTES = 2**31
CROWD = "is_crowd"
_IMAGE = re.compile(rb"<image\s[^>]*>")
_IMAGE_ATTRIBUTES = re.compile(rb"\s(name|subset)=(?:\"([^\"]*)\"|'([^']*)')")
_SUBSET = re.compile(rb"<image\b(?:[^<>]*?\ssubset=(?:\"([^\"]*)\"|'([^']*)'))?")
# Split names become folder names: other characters, such as slashes, are replaced.
_NO_FOLDER = re.compile(r"[^\w -]")
_LONGEST = 60
_WITH_AREA = ("polygon", "ellipse", "mask", "box")
_WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton")


def find(path: Path) -> dict[str, Location]:
    """The splits that an .xml file names, or the .xml files of the splits of a folder."""
    if path.is_file():
        return _subsets(path) if path.suffix.lower() == ".xml" and is_cvat(path) else {}
    file = _only_xml(path)
    if file is not None:
        return _subsets(file)
    files = {name: found for name, place in split_folders(path).items() if (found := _only_xml(place))}
    return {name: Location(file, next(iter(_subsets(file).values())).split) for name, file in files.items()}


def _only_xml(folder: Path) -> Path | None:
    files = [folder / "annotations.xml"] if (folder / "annotations.xml").is_file() else sorted(folder.glob("*.xml"))
    return files[0] if len(files) == 1 and is_cvat(files[0]) else None


def _subsets(file: Path) -> dict[str, Location]:
    """Split name → where, of the subsets that images belong to."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = {one or other or b"" for one, other in _SUBSET.findall(content)}
    names = sorted(map(_text, found))
    if len(names) == 1 and names[0].lower() in ("", "default"):
        return {"": Location(file, names[0])}
    places: dict[str, Location] = {}
    for name in names:
        key = _NO_FOLDER.sub("_", name.lower())[:_LONGEST] or "default"
        unique = next(k for k in (key, *(f"{key}_{number}" for number in range(2, len(names) + 2))) if k not in places)
        places[unique] = Location(file, name)
    return places or {"": Location(file)}


def _image_names(file: Path, subset: str) -> Iterator[str]:
    """The names of the images of a subset."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for tag in _IMAGE.finditer(content):
            attributes = {key: _text(a or b) for key, a, b in _IMAGE_ATTRIBUTES.findall(tag[0])}
            if attributes.get(b"subset", "") == subset:
                yield attributes.get(b"name", "")


def _text(value: bytes) -> str:
    return unescape(value.decode("utf-8", errors="replace"))


def read(place: Location) -> Labels:
    """The data set of one subset of an .xml file.

    Raises:
        MaskRCNNError: the file is no such XML, or none of its images can be used.
    """
    reader = _CvatParser(place)
    for element in elements(place.path, ("meta", "image", "track"), _MAX_BYTES):
        if element.tag == "meta":
            reader.meta(element)
        elif element.tag == "image":
            reader.image(element)
        else:
            reader.tracks += 1
    return reader.dataset()


class _CvatParser:
    """Collects the images of one subset while the file is parsed."""

    def __init__(self, place: Location) -> None:
        self.file, self.split, folder = place.path, place.split, place.path.parent
        images = [folder / "images" / self.split, folder / "images"]
        folders, names = [*images, folder / self.split, folder], _image_names(self.file, self.split)
        self.finder = ImageFinder(folders, names, images, folder, self.split.lower())
        self.classes: dict[str, int] = {}
        self.declared = False
        self.without_area: dict[str, str] = {}
        self.records: list[ImageRecord] = []
        self.annotations: list[list[Annotation]] = []
        self.problems: list[Problem] = []
        self.images = self.tracks = self.tags = 0

    def meta(self, element: Element) -> None:
        """Labels, in their order."""
        names: list[str] = []
        for label in element.iter("label"):
            name, kind = (label.findtext(key, "").strip() for key in ("name", "type"))
            part = bool(label.findtext("parent", "").strip())
            if name and (part or kind in (*_WITHOUT_AREA, "tag")):
                self.without_area[name] = "part of a skeleton" if part else kind
            elif name:
                names.append(name)
            self.declared = self.declared or bool(name)
        self.classes = {name: label for label, name in enumerate(dict.fromkeys(names))}

    def image(self, element: Element) -> None:
        """One image, of this or another subset."""
        for name in (shape.get("label", "").strip() for shape in element if shape.tag in _WITH_AREA):
            # A label may have had another type when it was used.
            if name and (name in self.without_area or not self.declared):
                self.classes.setdefault(name, len(self.classes))
        if element.get("subset", "") != self.split:
            return
        self.images += 1
        called = f"image {element.get('name')}"
        shapes = [shape for shape in element if shape.tag != "tag"]
        self.tags += len(element) - len(shapes)
        try:
            record = _record(element, len(self.records) + 1, self.finder, self.file)
        except DataError as error:
            self.problems.append(error.problem(self.file, 1, len(shapes), entry=called))
            return
        found: list[Shape] = []
        for number, shape in enumerate(shapes, start=1):
            try:
                found.append(_shape(shape, number, self.classes, record.size))
            except DataError as error:
                self.problems.append(error.problem(self.file, 0, 1, entry=f"{called}, {shape.tag} {number}"))
        self.records.append(record)
        self.annotations.append(objects_of(found, record.size))

    def dataset(self) -> Labels:
        """What was collected."""
        what = "is CVAT for video" if self.tracks else f"none of its {plural(self.images, 'image')} can be used"
        fix = "export as CVAT for images 1.1, with images"
        require_images(self.records, what, self.problems, self.file, fix)
        if self.tags:
            what = f"{self.tags:,} tags of whole images are no objects and are left out"
            self.problems.append(Problem("image-tag", str(self.file), what, "", "note"))
        if self.tracks:
            what = f"{self.tracks:,} tracks of a video are left out"
            self.problems.append(Problem("track", str(self.file), what, fix, "warning"))
        unused = [f"{name} ({kind})" for name, kind in self.without_area.items() if name not in self.classes]
        if unused:
            what = f"{len(unused)} labels are for what has no area and are no classes: {', '.join(unused[:6])}"
            self.problems.append(Problem("label-without-area", str(self.file), what, "", "note"))
        return stored_labels(self.classes, self.records, self.annotations, self.problems, self.file)


def _record(element: Element, number: int, finder: ImageFinder, file: Path) -> ImageRecord:
    image = finder.found(element.get("name", ""))
    return ImageRecord(number, image, *checked_size(element.get("height"), element.get("width"), image), file)


def _shape(entry: Element, number: int, classes: dict[str, int], size: tuple[int, int]) -> Shape:
    if entry.tag not in _WITH_AREA:
        what = f"a {entry.tag} has no area" if entry.tag in _WITHOUT_AREA else f"the shape {entry.tag} is not known"
        raise DataError("no-shape", what, fix="draw a polygon instead")
    label = classes.get(entry.get("label", "").strip())
    if label is None:
        what = f"the file declares no label {entry.get('label')!r}"
        raise DataError("unknown-category", what, fix="add the label to <labels>, or correct it")
    crowd = any(
        attribute.get("name") == CROWD and (attribute.text or "").strip().lower() in ("true", "1")
        for attribute in entry.iter("attribute")
    )
    group = entry.get("group_id", "0")
    part: list[np.ndarray] | Crop | None = None
    box = None
    if entry.tag == "polygon":
        part = [checked_points(_points(entry.get("points", "")))]
    elif entry.tag == "ellipse":
        cx, cy, rx, ry = _numbers(entry, "cx", "cy", "rx", "ry")
        part = [ellipse((cx, cy), (rx, ry), *_rotation(entry))]
    elif entry.tag == "mask":
        part = _mask(entry, size)
    else:
        box = clipped_box(_box(entry), size)
    return Shape(number, label, crowd, None if group in ("", "0") else group, box, part)


def _points(text: str) -> np.ndarray:
    """float64 [P, 2] of x,y;x,y;…"""
    try:
        pairs = [pair.split(",") for pair in text.strip().strip(";").split(";")]
        points = np.array(pairs, dtype=np.float64)
    except ValueError:
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise DataError("bad-segmentation", f"expected points x,y;x,y;…, found {text[:60]!r}", fix="correct it")
    return points


def _numbers(entry: Element, *keys: str) -> list[float]:
    try:
        values = [float(entry.get(key, "")) for key in keys]
    except ValueError:
        values = [np.nan]
    if not np.isfinite(values).all():
        found = ", ".join(f"{key}={entry.get(key)!r}" for key in keys)
        raise DataError("bad-box", f"expected numbers, found {found}", fix="correct them")
    return values


def _rotation(entry: Element) -> list[float]:
    return _numbers(entry, "rotation") if entry.get("rotation") else [0.0]


def _box(entry: Element) -> list[float]:
    """[x, y, width, height] of the upright box around a box that may be turned about its centre."""
    x1, y1, x2, y2 = _numbers(entry, "xtl", "ytl", "xbr", "ybr")
    if entry.get("rotation"):
        half = np.array([[x1 - x2, y1 - y2], [x2 - x1, y1 - y2]]) / 2
        reach = np.abs(turned(half, *_rotation(entry))).max(axis=0).tolist()
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        x1, y1, x2, y2 = x - reach[0], y - reach[1], x + reach[0], y + reach[1]
    return [x1, y1, x2 - x1, y2 - y1]


def _mask(entry: Element, size: tuple[int, int]) -> Crop:
    """The tight mask of run lengths, cut to the image."""
    left, top, width, height = (int(value) for value in _numbers(entry, "left", "top", "width", "height"))
    try:
        runs = np.array([int(run) for run in entry.get("rle", "").split(",")], dtype=np.int64)
        if min(width, height) <= 0 or width * height > 4 * size[0] * size[1]:
            raise ValueError(f"a mask of {width} x {height} in an image of {size[1]} x {size[0]}")
        if runs.min() < 0 or (total := int(runs.sum())) > width * height or runs.max() > width * height:
            raise ValueError(f"run lengths that do not fit {width} x {height}")
    except (ValueError, OverflowError) as error:
        what = f"expected run lengths of the mask's box, found {str(error)[:80]}"
        raise DataError("bad-segmentation", what, fix="export it again") from error
    values = np.zeros(len(runs) + 1, dtype=bool)
    values[1:-1:2] = True
    flat = np.repeat(values, [*runs.tolist(), width * height - total])
    return cut_to_image(flat.reshape(height, width), left, top, size)
