"""YOLO segmentation labels: images/…/a.jpg with labels/…/a.txt, one object a line.

A line is `class x0 y0 x1 y1 …`, a polygon in fractions of the image's width and height, or `class x y w h`, a box by
its centre: an object without a mask. An object has one polygon: parts and holes are joined by bridges of no width,
which even-odd filling draws exactly. Keypoints (kpt_shape in the YAML file) are not read. An image without a .txt has
no objects. Names come from the YAML file or classes.txt, or are the numbers. A .txt may list the images of a split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.image_finder import ImageFinder, spellings
from maskrcnn.datasets.formats.location import Location, locations
from maskrcnn.datasets.formats.reader_checks import add_record, doubled_names, require_images, text_lines
from maskrcnn.datasets.formats.split_names import SPLIT_NAMES, split_folders, split_of, subfolder
from maskrcnn.datasets.formats.yolo_lines import YoloReader
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_formats import IMAGE_SUFFIXES
from maskrcnn.images.image_reader import find_images
from maskrcnn.text import plural

_NAME_FILES = ("classes.txt", "obj.names", "names.txt")
_MAX_UNNAMED = 10_000
_SNIFFED = 1 << 16


def find(path: Path) -> dict[str, Location]:
    """The image folders of the splits of a folder, such a folder itself, or a .txt that lists images."""
    if path.is_file():
        return {"": Location(path, root=path.parent)} if path.suffix.lower() == ".txt" and _listed_images(path) else {}
    images = subfolder(path, "images")
    parts = split_folders(images) or split_folders(path)
    folders = {name: own if (own := subfolder(place, "images")).is_dir() else place for name, place in parts.items()}
    found = locations({name: place for name, place in folders.items() if _has_labels(place)}, path)
    for place in (images, path):
        if not found and _has_labels(place):
            above = [folder.parent for folder in (place, *place.parents) if folder.name.lower() == "images"]
            return {"": Location(place, root=above[0] if above else path)}
    return found or _image_lists(path)


def _image_lists(path: Path) -> dict[str, Location]:
    """The lists train.txt, val.txt, … of a folder, whose images have labels."""
    files = {file.stem.lower(): file for file in path.glob("*.txt")} if path.is_dir() else {}
    found = {name: Location(files[name], root=path) for name in SPLIT_NAMES if name in files}
    try:
        found = {name: place for name, place in found.items() if _listed_images(place.path)}
        labelled = any(_label_file(image).is_file() for place in found.values() for image in _images(place)[0])
    except MaskRCNNError:
        return {}  # no text
    return found if labelled else {}


def read(place: Location) -> Labels:
    """The data set of a folder of images, or of a .txt that lists them, whose labels lie in the folder beside it.

    Raises:
        MaskRCNNError: no image there can be used.
    """
    images, problems = _images(place)
    missing = sum(problem.images_lost for problem in problems)
    label_folders = {folder: _label_folder(folder) for folder in {image.parent for image in images}}
    records: list[ImageRecord] = []
    for image in images:
        add_record(records, problems, image, label_folders[image.parent] / f"{image.stem}.txt")
    what = f"none of {plural(len(images) + missing, 'image')} can be used"
    require_images(records, what, problems, place.path, "add the images")
    if bare := sum(record.labels is not None and not record.labels.is_file() for record in records):
        what = f"{bare:,} of {plural(len(records), 'image')} without a .txt of labels: no objects are taken to be there"
        problems.append(Problem("unlabelled-image", str(place.path), what, "label them if they show objects", "note"))
    if place.keypoints is not None:
        what = f"pose data: each line is a box and {place.keypoints[0]} keypoints, the box is read and no mask"
        problems.append(Problem("pose-data", str(place.path), what, "add outlines if you have them", "note"))
    names = _names(place) if place.names is None else place.names
    problems += doubled_names(names, place.path)
    classes = {name: label for label, name in enumerate(dict.fromkeys(name for name in names if name))}
    return Labels(list(classes), records, YoloReader([classes.get(name) for name in names], place.keypoints), problems)


def _images(place: Location) -> tuple[list[Path], list[Problem]]:
    """The images of a folder and its subfolders, or of a .txt; and a problem for each that is missing."""
    if not place.path.is_file():
        images, passed = _images_below(place.path)
        if not passed:
            return images, []
        what = f"{plural(len(passed), 'image')} in folders without labels left out, the first: {passed[0]}"
        return images, [Problem("unlabelled-image", str(place.path), what, "label them if they show objects", "note")]
    folder, listed = place.path.parent, _listed_images(place.path)
    # Lists may lie in a folder of their own, beside images/.
    beside = not (folder / "images").is_dir() and (folder.parent / "images").is_dir()
    root = folder.parent if beside else folder
    starts = [folder, *([root] if beside else []), root / "images"]
    finder = ImageFinder(starts, listed, [root / "images"], root, split_of(place.path.stem))
    images, problems = [], []
    for name in listed:
        try:
            images.append(finder.found(name))
        except DataError as error:
            problems.append(error.problem(str(place.path), images_lost=1))
    return list(dict.fromkeys(images)), problems


def _images_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images of a folder and its subfolders, and those skipped: without labels, where labels lie beside images."""
    images = [
        image
        for image in find_images(folder, recursive=True)
        if not any(part.startswith(".") for part in image.relative_to(folder).parts)
    ]
    if _label_folder(folder) != folder:
        return images, []
    used = {place for place in {image.parent for image in images} if place == folder or _labels_beside(place)}
    return [image for image in images if image.parent in used], [i for i in images if i.parent not in used]


def _listed_images(file: Path) -> list[str]:
    """The images that a .txt names, one a line, without its comments."""
    lines = [line.strip().strip("\"'") for line in text_lines(file)]
    names = [line for line in lines if any(Path(path).suffix.lower() in IMAGE_SUFFIXES for path in spellings(line))]
    return [name for name in names if not name.startswith("#") or (file.parent / name).is_file()]


def _label_file(image: Path) -> Path:
    return _label_folder(image.parent) / f"{image.stem}.txt"


def _label_folder(folder: Path) -> Path:
    """labels/… for images/…, by the last folder of that name; the folder itself if there is none."""
    for path in (folder, folder.absolute()):
        parts = list(path.parts)
        for place in range(len(parts) - 1, -1, -1):
            if parts[place].lower() == "images":
                labels = subfolder(Path(*parts[:place]), "labels").joinpath(*parts[place + 1 :])
                return labels if labels.is_dir() else folder
    return folder


def _has_labels(folder: Path) -> bool:
    """Whether there are images in a folder, or below it, with a .txt for one of them."""
    if not folder.is_dir():
        return False
    place = _label_folder(folder)
    if place == folder:
        return _labels_beside(folder)
    if next(place.rglob("*.txt"), None) is None:
        return False

    def labelled(images: list[Path]) -> bool:
        return any(_label_file(image).is_file() for image in images)

    return labelled(find_images(folder)) or labelled(_images_below(folder)[0])


def _labels_beside(folder: Path) -> bool:
    """Whether there are images in a folder with a .txt beside one of them, which must hold numbers."""
    labels = {file.stem: file for file in folder.glob("*.txt")}
    images = find_images(folder) if labels else []
    first = next((labels[image.stem] for image in images if image.stem in labels), None)
    if first is None:
        return False
    line = first.read_bytes()[:_SNIFFED].partition(b"\n")[0]
    return re.fullmatch(rb"(\xef\xbb\xbf)?[-+.\deE\s]*", line) is not None


def _names(place: Location) -> list[str]:
    """Names from a file beside the data, else the numbers in use."""
    root = place.root or place.path
    label_folders = list(dict.fromkeys(_label_folders(place)))
    for folder in dict.fromkeys((root, place.path.parent, root.parent, *label_folders)):
        for file in (folder / name for name in _NAME_FILES):
            if names := [line.strip() for line in text_lines(file) if line.strip()]:
                return names
    used = (number for folder in label_folders for file in folder.glob("*.txt") for number in _classes_in(file))
    return [str(number) for number in range(max(used, default=-1) + 1)]


def _label_folders(place: Location) -> Iterator[Path]:
    """Those of all splits, so that they agree on the classes."""
    places, root = [Location(path) for path in place.siblings], place.root
    if root is not None and place.path.is_dir() and not places and place.path not in (root, subfolder(root, "images")):
        places = list(find(root).values())  # the images of one split were asked for
    for location in places or [place]:
        yield from {_label_folder(image.parent): None for image in _images(location)[0]}


def _classes_in(file: Path) -> Iterator[int]:
    try:
        lines = text_lines(file)
    except MaskRCNNError:
        return  # reported when the image is read
    for line in lines:
        first = line.split(maxsplit=1)[0] if line.strip() else ""
        if first.isdecimal() and len(first) < 10 and int(first) < _MAX_UNNAMED:
            yield int(first)
