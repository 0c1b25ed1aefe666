"""Pascal VOC segmentation: JPEGImages/, SegmentationObject/, SegmentationClass/ and ImageSets/Segmentation/train.txt.

The object map numbers the objects of an image from 1 on, the class map holds the class of each pixel; 0 is background,
255 is void. Maps are palette images, or have the colours of VOC's palette, which goes on beyond 255. Void wider than
the 5-pixel borders that VOC draws around objects is a region to ignore: a crowd of the class of the `difficult` object
there (Annotations/*.xml), or of every class. Class names come from labelmap.txt, as CVAT writes it, or are VOC's
twenty. Each pixel belongs to one object: where masks overlap, the smaller object is written. Objects without a mask
are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from maskrcnn.data.dataset import SPLITS, Dataset, ImageRecord
from maskrcnn.data.formats.checks import paired, require_images
from maskrcnn.data.formats.id_map import draw_ids
from maskrcnn.data.formats.idmask import annotations_of
from maskrcnn.data.formats.image_finder import ImageFinder
from maskrcnn.data.formats.location import Location
from maskrcnn.data.formats.losses import Losses
from maskrcnn.data.formats.shapes import union
from maskrcnn.data.formats.voc_map import VOID, colour_numbers, colours, number_of, read_map, write_map
from maskrcnn.data.formats.voc_objects import VocObject, read_objects, write_objects
from maskrcnn.data.formats.writer import Item, Writer
from maskrcnn.data.image_formats import IMAGE_SUFFIXES
from maskrcnn.data.objects import Annotation
from maskrcnn.data.problem import DataError, Problem
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import Box, Crop

# fmt: off
_VOC_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
# Wider than the borders around objects.
_REGION = np.ones((7, 7), dtype=bool)
_WHOLE = ("default", "trainval", "all")


def find(path: Path) -> dict[str, Location]:
    """The image sets of a VOC folder, which may lie in VOCdevkit/VOC2012 or VOC2012."""
    places = [path, *sorted(path.glob("VOC[0-9]*")), *sorted(path.glob("VOCdevkit/VOC[0-9]*"))]
    roots = [root for root in places if (root / "SegmentationObject").is_dir() and (root / "JPEGImages").is_dir()]
    if len(roots) != 1:
        return {}
    files = {file.stem.lower(): file for file in sorted((roots[0] / "ImageSets" / "Segmentation").glob("*.txt"))}
    named = {name: files[name] for aliases in SPLITS.values() for name in aliases if name in files}
    if named:
        return {name: Location(roots[0], file.stem) for name, file in named.items()}
    whole = next((files[name].stem for name in _WHOLE if name in files), "")
    return {"": Location(roots[0], whole)}


def read(location: Location | str | Path, names: Sequence[str] | None = None) -> Dataset:
    """The data set of one image set of a VOC folder.

    Args:
        location: of the folder; its split names the set, "" all object maps.
        names: not used, see above.

    Raises:
        MaskRCNNError: no image there can be used.
    """
    place = Location.of(location)
    root = place.path
    problems: list[Problem] = []
    records: list[ImageRecord] = []
    finder = ImageFinder([root / "JPEGImages"])
    stems = _stems(place)
    for stem in stems:
        map_file = root / "SegmentationObject" / f"{stem}.png"
        image = next((found for suffix in _SUFFIXES if (found := finder.find(stem + suffix))), None)
        if image is None:
            where = root / "JPEGImages" / stem
            problems.append(Problem("missing-image", str(where), "no such image", "add it", images_lost=1))
            continue
        if not map_file.is_file():
            problems.append(Problem("missing-mask", str(map_file), "no such object map", "add it", images_lost=1))
            continue
        pair = paired(len(records) + 1, image, map_file, "object map")
        if isinstance(pair, Problem):
            problems.append(pair)
        else:
            records.append(pair)
    what = f"none of {len(stems)} images can be used"
    require_images(records, what, problems, root, "check ImageSets/Segmentation")
    classes = _classes(root)
    return Dataset(classes.names, records, _Maps(root, classes), problems)


# Most are .jpg.
_SUFFIXES = (".jpg", *sorted(IMAGE_SUFFIXES - {".jpg"}))


def _stems(place: Location) -> list[str]:
    folder = place.path / "SegmentationObject"
    if not place.split:
        return sorted(file.stem for file in folder.glob("*.png"))
    file = place.path / "ImageSets" / "Segmentation" / f"{place.split}.txt"
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MaskRCNNError(f"cannot be read as text: {error}", where=file, fix="write it again") from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


class _Classes(NamedTuple):
    """Class names, and the label of each number in class maps."""

    names: list[str]
    labels: dict[int, int]


def _classes(root: Path) -> _Classes:
    file = root / "labelmap.txt"
    if file.is_file():
        numbers: dict[int, str] = {}
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        entries = [line.rsplit(":", 3) for line in lines if line.strip() and not line.startswith("#")]
        has_background = any(name.strip().lower() == "background" for name, *_ in entries)
        for place, (name, *rest) in enumerate(entries, start=0 if has_background else 1):
            if name.strip().lower() not in ("background", "ignored"):
                colour = [int(value) for value in rest[0].split(",") if value.strip().isdecimal()] if rest else []
                # A class map has either places or colours.
                numbers[number_of(place)] = name.strip()
                if len(colour) == 3 and max(colour) < 256:
                    numbers[-int(colour_numbers(np.array(colour)))] = name.strip()
        names = list(dict.fromkeys(numbers.values()))
        return _Classes(names, {number: names.index(name) for number, name in numbers.items()})
    if (root / "SegmentationClass").is_dir():
        return _Classes(list(_VOC_NAMES), {label + 1: label for label in range(len(_VOC_NAMES))})
    used = {found.name for file in (root / "Annotations").glob("*.xml") for found in read_objects(file)[0]}
    return _Classes(sorted(used) or ["object"], {})


class _Maps:
    """Reads the maps of an image."""

    def __init__(self, root: Path, classes: _Classes) -> None:
        self.root, self.classes = root, classes

    def __call__(self, index: int, record: ImageRecord) -> tuple[list[Annotation], list[Problem]]:
        assert record.labels is not None
        ids, _ = read_map(record.labels, record.size)
        void = ids == VOID
        objects = annotations_of(np.where(void, 0, ids))
        regions = _regions(void)
        class_file = self.root / "SegmentationClass" / record.labels.name
        has_classes = class_file.is_file()
        written: list[VocObject] = []
        problems: list[Problem] = []
        if regions or not has_classes:
            written, problems = read_objects(self.root / "Annotations" / f"{record.labels.stem}.xml")
        class_map, coloured = read_map(class_file, record.size) if has_classes else (None, False)
        annotations = []
        for found in objects:
            try:
                label = self._written(found, written) if class_map is None else self._drawn(found, class_map, coloured)
            except DataError as error:
                problems.append(error.problem(f"{record.labels}, object {found.id}", objects_lost=1))
                continue
            annotations.append(found._replace(label=label))
        number = max((found.id for found in objects), default=0)
        for label, region in self._ignored(regions, written):
            number += 1
            annotations.append(Annotation(number, label, True, region.box, None, region))
        return annotations, problems

    def _drawn(self, found: Annotation, class_map: np.ndarray, coloured: bool) -> int:
        """The class that most of the object's pixels have."""
        assert isinstance(found.segmentation, Crop)
        bitmap, x, y = found.segmentation
        values = class_map[y : y + bitmap.shape[0], x : x + bitmap.shape[1]][bitmap]
        values, counts = np.unique(values[(values != 0) & (values != VOID)], return_counts=True)
        if not len(values):
            raise DataError("unknown-category", "the class map is background under it", fix="draw its class")
        number = int(values[np.argmax(counts)])
        label = self.classes.labels.get(-number if coloured else number)
        if label is None:
            label = self.classes.labels.get(number)
        if label is None:
            what = f"the class map has {number} under it, which names no class"
            raise DataError("unknown-category", what, fix="add a labelmap.txt with the names of the classes")
        return label

    def _written(self, found: Annotation, written: Sequence[VocObject]) -> int:
        """The class of the .xml's object whose box fits best."""
        names = self.classes.names
        if len(names) == 1:
            return 0
        best = max(written, key=lambda other: _shared(found.box, other.box)[0], default=None)
        if best is None or best.name not in names or _shared(found.box, best.box)[0] < 0.5:
            raise DataError("unknown-category", "no class map, and no object of the .xml fits", fix="draw its class")
        return names.index(best.name)

    def _ignored(self, regions: Sequence[Crop], written: Sequence[VocObject]) -> list[tuple[int, Crop]]:
        """Label and mask of each region to ignore: what lies in one difficult object is one region of its class."""
        names = self.classes.names
        difficult = [found for found in written if found.difficult and found.name in names]
        parts: dict[int, list[Crop]] = {}
        for region in regions:
            inside = [i for i, found in enumerate(difficult) if _shared(region.box, found.box)[1] >= 0.5]
            best = max(inside, key=lambda i: _shared(region.box, difficult[i].box)[0], default=-1)
            parts.setdefault(best, []).append(region)
        unknown = [(label, region) for region in parts.pop(-1, ()) for label in range(len(names))]
        return [(names.index(difficult[i].name), union(crops)) for i, crops in parts.items()] + unknown


def _regions(void: np.ndarray) -> list[Crop]:
    if not void.any():
        return []
    numbered, _ = ndimage.label(ndimage.binary_opening(void, _REGION), np.ones((3, 3)))
    return [found.segmentation for found in annotations_of(numbered) if isinstance(found.segmentation, Crop)]


def _shared(one: Box | None, other: Box) -> tuple[float, float]:
    """IoU of two boxes, and the share of the first that lies in the other."""
    if one is None:
        return 0.0, 0.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    area, other_area = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / max(area + other_area - both, 1e-9), both / max(area, 1e-9)


class VocWriter(Writer):
    """One VOC folder for all splits."""

    def __init__(self, folder: Path, names: Sequence[str], splits: Sequence[str], losses: Losses) -> None:
        super().__init__(folder, names, splits, losses)
        self.stems: dict[str, list[str]] = {split: [] for split in splits}
        for place in ("SegmentationObject", "SegmentationClass", "Annotations"):
            (folder / place).mkdir(exist_ok=True)

    def image_folder(self, split: str) -> Path:
        return self.folder / "JPEGImages"

    def add(self, item: Item) -> None:
        single = [drawn for drawn in item.objects if not drawn.annotation.crowd]
        crowd = [drawn for drawn in item.objects if drawn.annotation.crowd]
        self.losses.add("crowd-void", len(crowd))
        self.losses.add("many", int(len(single) >= VOID))
        (places,) = draw_ids(single, item.record.size, self.losses, max_layers=1)
        void = np.zeros(item.record.size, dtype=bool)
        for drawn in crowd:
            if drawn.crop is None:
                x1, y1, x2, y2 = (round(side) for side in drawn.box)
                void[y1:y2, x1:x2] = True
            else:
                bitmap, x, y = drawn.crop
                void[y : y + bitmap.shape[0], x : x + bitmap.shape[1]] |= bitmap
        classes = np.array([0, *(drawn.annotation.label + 1 for drawn in single)])
        for folder, values in (("SegmentationObject", places), ("SegmentationClass", classes[places])):
            numbers = number_of(values)
            numbers[void & (places == 0)] = VOID
            write_map(self.folder / folder / f"{item.image.stem}.png", numbers)
        write_objects(self.folder / "Annotations" / f"{item.image.stem}.xml", item, self.names)
        self.stems[item.split].append(item.image.stem)

    def close(self) -> None:
        sets = self.folder / "ImageSets" / "Segmentation"
        sets.mkdir(parents=True, exist_ok=True)
        for split, stems in self.stems.items():
            text = "".join(f"{stem}\n" for stem in stems)
            (sets / f"{split or _WHOLE[0]}.txt").write_text(text, encoding="utf-8", newline="\n")
        lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
        for label, name in enumerate(self.names):
            colour = ",".join(map(str, colours(np.array(number_of(label + 1))).tolist()))
            lines.append(f"{name}:{colour}::")
        (self.folder / "labelmap.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
