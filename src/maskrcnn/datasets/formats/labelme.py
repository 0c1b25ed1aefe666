"""labelme: one .json an image, with its shapes (see `labelme_shapes` for what they mean).

Flags other than `crowd` and descriptions are not used. The image is the file that imagePath names, or one of that name
beside the .json; its copy in imageData is used where there is no such file, or where the file has another size than the
labels and the copy has theirs. Polygons are drawn as everywhere, pixels whose centres they enclose; labelme's own
exports add the pixels that outlines touch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.image_finder import ImageFinder
from maskrcnn.datasets.formats.labelme_shapes import label_of, shape_annotations
from maskrcnn.datasets.formats.location import Location, json_files, json_kind, split_folders_that
from maskrcnn.datasets.formats.reader_checks import checked_size, require_images, stored_labels
from maskrcnn.datasets.formats.reserved_names import BACKGROUND, NO_CLASS
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.embedded_image import MAX_BYTES, is_embedded
from maskrcnn.images.image_formats import IMAGE_SUFFIXES
from maskrcnn.images.image_reader import image_size
from maskrcnn.json_yaml import read_json, shown
from maskrcnn.text import plural


def find(path: Path) -> dict[str, Location]:
    """The folders of .json files of the splits of a folder, the folder itself, or one such file."""
    if path.is_file():
        return {"": Location(path)} if path.suffix.lower() == ".json" and json_kind(path) == "labelme" else {}
    return split_folders_that(_is_labelme, path, "annotations", "ann")


def _is_labelme(folder: Path) -> bool:
    first = min(_files(folder), default=None)
    return first is not None and json_kind(first) == "labelme"


def _files(place: Path) -> list[Path]:
    """The .json files of a folder, or the one that `place` is."""
    return [place] if place.is_file() else json_files(place)


def read(place: Location) -> Labels:
    """The data set of a folder of .json files; images are found by imagePath, beside the file, or in images/.

    Raises:
        MaskRCNNError: no image there can be used.
    """
    files = _files(place.path)
    contents = [_parsed(file) for file in files]
    classes = _classes(place, contents)
    problems: list[Problem] = []
    records: list[ImageRecord] = []
    annotations: list[list[Annotation]] = []
    folder = place.path.parent if place.path.is_file() else place.path
    paths = [content.get("imagePath") for content in contents if isinstance(content, dict)]
    places = [folder, folder / "images", folder.parent / "images", folder.parent, folder.parent / "img"]
    finder = ImageFinder(places, [path for path in paths if isinstance(path, str)])
    for file, content in zip(files, contents, strict=True):
        try:
            record, assumed = _record(content, file, len(records) + 1, finder)
        except DataError as error:
            shapes = content.get("shapes") if isinstance(content, dict) else None
            problems.append(error.problem(str(file), 1, len(shapes) if isinstance(shapes, list) else 0))
            continue
        found, bad = shape_annotations(content["shapes"], file, classes, record.size)
        records.append(record)
        annotations.append(found)
        problems += [*assumed, *bad]
    what = f"none of {len(files)} .json files can be used"
    require_images(records, what, problems, place.path, "export them from labelme")
    labels = stored_labels(classes, records, annotations, [*problems, *_unlabelled(place.path, records)], place.path)
    return labels._replace(problems=[*labels.problems, *_assumptions(place.path, records, contents)])


def _parsed(file: Path) -> Any:
    """The content without its copy of the image, or the error of a file that cannot be read."""
    try:
        content = read_json(file, max_bytes=MAX_BYTES)
    except MaskRCNNError as error:
        return DataError("bad-file", error.what, fix="save it again in labelme")
    if isinstance(content, dict):
        content["imageData"] = bool(content.get("imageData"))
    return content


def _classes(place: Location, contents: Sequence[Any]) -> dict[str, int]:
    """The labels of labels.txt, then those of the shapes of all splits, sorted."""
    file = (place.root or (place.path.parent if place.path.is_file() else place.path)) / "labels.txt"
    listed = file.read_text(encoding="utf-8-sig", errors="replace").splitlines() if file.is_file() else []
    others = [other for other in place.siblings if other != place.path]
    used = {label for content in contents for label in _labels(content)}
    used |= {label for other in others for file in _files(other) for label in _labels(_parsed(file))}
    order = dict.fromkeys([*(line.strip() for line in listed), *sorted(used)])
    return {name: label for label, name in enumerate(name for name in order if name and name not in NO_CLASS)}


def _labels(content: Any) -> Iterator[str]:
    shapes = content.get("shapes") if isinstance(content, dict) else None
    for shape in shapes if isinstance(shapes, list) else ():
        if (label := label_of(shape)) is not None:
            yield label


def _record(content: Any, file: Path, number: int, finder: ImageFinder) -> tuple[ImageRecord, list[Problem]]:
    if isinstance(content, DataError):
        raise content
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        found = ", ".join(list(content)[:6]) if isinstance(content, dict) else type(content).__name__
        raise DataError("bad-file", f"expected labelme's list shapes, found {found}", fix="save it again in labelme")
    image = _image(content, file, finder)
    sides = content.get("imageHeight"), content.get("imageWidth")
    problems: list[Problem] = []
    if content["imageData"]:
        image, problems = _or_copy(image, sides, file)
    if image is None:
        name = content.get("imagePath")
        copy = ", and its copy in imageData cannot be read" if content["imageData"] else ""
        what = f"no image {name if isinstance(name, str) else shown(name)}{copy}"
        raise DataError("missing-image", what, fix="add the image")
    return ImageRecord(number, image, *checked_size(*sides, image), file), problems


def _or_copy(image: Path | None, sides: tuple[Any, Any], file: Path) -> tuple[Path | None, list[Problem]]:
    """The image file, or the .json where the copy in it fits the labels better; and a warning if both exist."""
    size = None if image is None else _size(image)
    if size is not None and sides in (size, (None, None)):
        return image, []
    copied = _size(file)
    if image is None:
        return file if copied is not None else None, []
    # labelme shows the copy: the labels were made for it.
    if copied is None or (size is not None and sides != copied):
        return image, []
    found = "cannot be read" if size is None else f"is {size[1]} x {size[0]}"
    what = f"{image.name} {found}, the copy in imageData of {copied[1]} x {copied[0]} is used"
    return file, [Problem("copy-differs", str(file), what, "label the file itself again", "warning")]


def _image(content: Any, file: Path, finder: ImageFinder) -> Path | None:
    """The image file of a .json; None if there is none."""
    name = content.get("imagePath")
    image = finder.find(name) if isinstance(name, str) and name else None
    # labelme 4.0 wrote the name of the .json itself.
    if image is not None and not is_embedded(image):
        return image
    stems = [Path(name.replace("\\", "/")).stem] if isinstance(name, str) and not finder.shared(name) else []
    suffixes = sorted(IMAGE_SUFFIXES)
    spellings = (stem + suffix for stem in dict.fromkeys([*stems, file.stem]) if stem for suffix in suffixes)
    return next((found for spelling in spellings if (found := finder.find(spelling))), None)


def _size(image: Path) -> tuple[int, int] | None:
    try:
        return image_size(image)
    except MaskRCNNError:
        return None


def _unlabelled(folder: Path, records: Sequence[ImageRecord]) -> Iterator[Problem]:
    """A note on images without a .json, where others there have one."""
    there = {path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES} if folder.is_dir() else set()
    copied = {record.path.stem for record in records if is_embedded(record.path)}
    labelled = {record.path for record in records} | {path for path in there if path.stem in copied}
    if there & labelled and (bare := len(there - labelled)):
        what = f"{plural(bare, 'image')} without a .json left out"
        fix = "open and save them in labelme, also without objects"
        yield Problem("unlabelled-image", str(folder), what, fix, "note")


def _assumptions(folder: Path, records: Sequence[ImageRecord], contents: Sequence[Any]) -> Iterator[Problem]:
    """A note on images that are read from label files, and one on shapes that mark the background."""
    if copies := sum(is_embedded(record.path) for record in records):
        what = f"{copies:,} of {plural(len(records), 'image')} read from imageData of the .json"
        yield Problem("embedded-image", str(folder), what, "maskrcnn dataset convert writes them out", "note")
    if nothing := sum(label == BACKGROUND for content in contents for label in _labels(content)):
        what = f"{plural(nothing, 'shape')} labelled {BACKGROUND}, no objects, left out"
        yield Problem("background-shape", str(folder), what, "", "note")
