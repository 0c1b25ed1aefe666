"""Pascal VOC segmentation: JPEGImages/, SegmentationObject/, SegmentationClass/ and ImageSets/Segmentation/train.txt.

The object map numbers the objects of an image from 1 on, the class map holds the class of each pixel; 0 is background,
255 is void. Maps are palette images, or have the colours of VOC's palette, which goes on beyond 255. Void wider than
the 5-pixel borders that VOC draws around objects is a region to ignore: a crowd of the class of the `difficult` object
there (Annotations/*.xml), or of every class. Class names come from `voc_classes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.datasets.formats.idmask import map_annotations
from maskrcnn.datasets.formats.image_finder import ImageFinder
from maskrcnn.datasets.formats.location import Location
from maskrcnn.datasets.formats.reader_checks import add_record, require_images, text_lines
from maskrcnn.datasets.formats.split_names import SPLIT_NAMES
from maskrcnn.datasets.formats.voc_classes import Classes, find_classes
from maskrcnn.datasets.formats.voc_colour_map import CLASSES, OBJECTS, VOID, maps_folder, read_map
from maskrcnn.datasets.formats.voc_objects import VocObject, read_objects
from maskrcnn.images.image_formats import IMAGE_SUFFIXES
from maskrcnn.masks.box_geometry import box_areas, intersections, pairwise_iou
from maskrcnn.masks.crop import Crop, union
from maskrcnn.text import plural

# Wider than the borders around objects.
_REGION = np.ones((7, 7), dtype=bool)
_WHOLE = ("default", "trainval", "all")
# Most are .jpg.
_SUFFIXES = (".jpg", *sorted(IMAGE_SUFFIXES - {".jpg"}))


def find(path: Path) -> dict[str, Location]:
    """The image sets of a VOC folder, which may lie in VOCdevkit/VOC2012 or VOC2012."""
    places = [path, *sorted(path.glob("VOC[0-9]*")), *sorted(path.glob("VOCdevkit/VOC[0-9]*"))]
    roots = [root for root in places if maps_folder(root, OBJECTS).is_dir() and (root / "JPEGImages").is_dir()]
    if len(roots) != 1:
        return {}
    files = {file.stem.lower(): file for file in sorted((roots[0] / "ImageSets" / "Segmentation").glob("*.txt"))}
    if named := {name: Location(roots[0], files[name].stem) for name in SPLIT_NAMES if name in files}:
        return named
    whole = next((files[name].stem for name in _WHOLE if name in files), "")
    return {"": Location(roots[0], whole)}


def read(place: Location) -> Labels:
    """The data set of one image set of a VOC folder.

    Raises:
        MaskRCNNError: no image there can be used, or its class maps have too many colours that nothing names.
    """
    root, objects = place.path, maps_folder(place.path, OBJECTS)
    problems: list[Problem] = []
    records: list[ImageRecord] = []
    finder = ImageFinder([root / "JPEGImages"])
    stems = _stems(place)
    for stem in stems:
        map_file = objects / f"{stem}.png"
        image = next((found for suffix in _SUFFIXES if (found := finder.find(stem + suffix))), None)
        if image is None:
            where = root / "JPEGImages" / stem
            problems.append(Problem("missing-image", str(where), "no such image", "add it", images_lost=1))
            continue
        if not map_file.is_file():
            problems.append(Problem("missing-mask", str(map_file), "no such object map", "add it", images_lost=1))
            continue
        add_record(records, problems, image, map_file, map_name="object map")
    what = f"none of {plural(len(stems), 'image')} can be used"
    require_images(records, what, problems, root, "check ImageSets/Segmentation")
    classes = find_classes(root, place.names)
    return Labels(classes.names, records, _VocReader(root, classes), [*problems, *classes.problems])


def _stems(place: Location) -> list[str]:
    if not place.split:
        return sorted(file.stem for file in maps_folder(place.path, OBJECTS).glob("*.png"))
    lines = text_lines(place.path / "ImageSets" / "Segmentation" / f"{place.split}.txt")
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


class _VocReader:
    """Reads the maps of an image."""

    def __init__(self, root: Path, classes: Classes) -> None:
        self.root, self.classes, self.class_maps = root, classes, maps_folder(root, CLASSES)

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        assert record.labels is not None
        ids, _ = read_map(record.labels, record.size)
        class_file = self.class_maps / record.labels.name
        has_classes = class_file.is_file()
        class_map, coloured = read_map(class_file, record.size) if has_classes else (None, False)
        void = ids == VOID
        objects = map_annotations(np.where(void, 0, ids))
        # labelme2voc marks what is to be ignored in the class map alone, and draws no borders.
        alone = np.zeros_like(void) if class_map is None else (class_map == VOID) & (ids == 0)
        regions = _void_regions(void, alone)
        written: list[VocObject] = []
        problems: list[Problem] = []
        if regions or not has_classes or self.classes.by_box:
            written, problems = read_objects(self.root / "Annotations" / f"{record.labels.stem}.xml")
        class_map = None if self.classes.by_box else class_map
        annotations = []
        for found in objects:
            try:
                if class_map is None:
                    label = self._class_by_box(found, written)
                else:
                    label = self._class_by_map(found, class_map, coloured)
            except DataError as error:
                problems.append(error.problem(record.labels, 0, 1, entry=f"object {found.id}"))
                continue
            annotations.append(found._replace(label=label))
        number = max((found.id for found in objects), default=0)
        for label, region in self._ignore_regions(regions, written):
            number += 1
            annotations.append(Annotation(number, label, True, region.box, None, region))
        return annotations, problems

    def _class_by_map(self, found: Annotation, class_map: np.ndarray, coloured: bool) -> int:
        """The class that most of the object's pixels have."""
        assert isinstance(found.segmentation, Crop)
        bitmap, x, y = found.segmentation
        values = class_map[y : y + bitmap.shape[0], x : x + bitmap.shape[1]][bitmap]
        values, counts = np.unique(values[(values != 0) & (values != VOID)], return_counts=True)
        if not len(values):
            raise DataError("unknown-category", "the class map is background under it", fix="draw its class")
        number = int(values[np.argmax(counts)])
        labels = self.classes.labels
        label = labels.get(-number if coloured else number, labels.get(number))
        if label is None:
            what = f"the class map has {number} under it, which names no class"
            raise DataError("unknown-category", what, fix="add its name to labelmap.txt or class_names.txt")
        return label

    def _class_by_box(self, found: Annotation, written: Sequence[VocObject]) -> int:
        """The class of the .xml's object whose box fits best."""
        names = self.classes.names
        if len(names) == 1:
            return 0
        overlap = pairwise_iou(found.box or (), [other.box for other in written]).ravel()
        best = written[int(overlap.argmax())] if overlap.size else None
        if best is None or best.name not in names or overlap.max() < 0.5:
            what = "no class map names it, and no object of the .xml fits"
            raise DataError("unknown-category", what, fix="draw its class, and list the names in class_names.txt")
        return names.index(best.name)

    def _ignore_regions(self, regions: Sequence[Crop], written: Sequence[VocObject]) -> list[tuple[int, Crop]]:
        """Label and mask of each region to ignore: what lies in one difficult object is one region of its class."""
        names = self.classes.names
        difficult = [found for found in written if found.difficult and found.name in names]
        parts: dict[int, list[Crop]] = {}
        for region in regions:
            boxes = [found.box for found in difficult]
            inside = intersections(region.box, boxes)[0] >= 0.5 * box_areas(region.box)
            best = int((pairwise_iou(region.box, boxes)[0] * inside).argmax()) if inside.any() else -1
            parts.setdefault(best, []).append(region)
        unknown = [(label, region) for region in parts.pop(-1, ()) for label in range(len(names))]
        return [(names.index(difficult[i].name), union(crops)) for i, crops in parts.items()] + unknown


def _void_regions(void: np.ndarray, alone: np.ndarray) -> list[Crop]:
    """Regions to ignore: void that is wider than borders, and whatever is void in the class map alone."""
    if not (void.any() or alone.any()):
        return []
    numbered, _ = ndimage.label(ndimage.binary_opening(void, _REGION) | alone, np.ones((3, 3)))
    return [found.segmentation for found in map_annotations(numbered) if isinstance(found.segmentation, Crop)]
