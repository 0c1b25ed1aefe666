"""What the model found in one image: N objects, each a box, a score, a class and a mask.

Boxes are (x1, y1, x2, y2) in continuous pixels of the original image, origin at the outer corner of its top-left pixel.
Labels are 0..K-1 into `class_names`. Everything is numpy and on the CPU.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from maskrcnn.argument_checks import checked_path, checked_share, is_whole
from maskrcnn.errors import MaskRCNNError
from maskrcnn.html_table import escaped, html_table
from maskrcnn.json_yaml import shown
from maskrcnn.masks.masks import Masks
from maskrcnn.output.atomic_file import make_folder, replacing, write_text
from maskrcnn.results.html_picture import SIDE, html_picture
from maskrcnn.results.measurements import measure_mask
from maskrcnn.results.overlay import count_line, draw_objects
from maskrcnn.text import plural

IouType = Literal["segm", "bbox"]
_TABLE_ROWS = 10


@dataclass(eq=False, repr=False)
class Result:
    """The objects found in one image.

    Attributes:
        boxes: float32 [N, 4].
        scores: float32 [N], 0..1.
        labels: int64 [N], into class_names.
        masks: N masks, each in its box; `.rle()` and `.dense()` give the usual forms.
        class_names: K names.
        size: (H, W) of the image.
        image: uint8 [H, W, 3] RGB, if it was kept.
        path: the image's file, if it came from one.
        notes: what was done to the image on reading, one line each.

    Raises:
        MaskRCNNError: the parts do not describe the same N objects of one image.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: Masks
    class_names: tuple[str, ...]
    size: tuple[int, int]
    image: np.ndarray | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = {name: len(getattr(self, name)) for name in ("boxes", "scores", "labels", "masks")}
        if len(set(counts.values())) > 1:
            raise MaskRCNNError(f"expected as many boxes as scores, labels and masks, found {counts}", where=self.path)
        if len(self) and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            found = f"found labels {self.labels.min()}..{self.labels.max()}"
            raise MaskRCNNError(f"expected labels 0..{len(self.class_names) - 1}, {found}", where=self.path)
        if self.image is not None:
            self._check_size(self.image)

    def _check_size(self, image: np.ndarray) -> None:
        if image.shape[:2] != tuple(self.size):
            what = f"expected an image of {list(self.size)}, found an image of {list(image.shape[:2])}"
            raise MaskRCNNError(what, where=self.path)

    @property
    def names(self) -> list[str]:
        """The class name of each object."""
        return [self.class_names[label] for label in self.labels]

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int | slice | list[int] | np.ndarray) -> Result:
        """Some of the objects, as a Result: by number, slice, list of numbers or bool [N].

        `result[result.scores > 0.9]`, `result[:10]` and `for single in result` all work.
        """
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"object {index} of {len(self)}")
            index = [int(index)]
        chosen = np.arange(len(self))[index]
        parts = self.boxes[chosen], self.scores[chosen], self.labels[chosen], self.masks[chosen]
        return Result(*parts, self.class_names, self.size, self.image, self.path, self.notes)

    def __repr__(self) -> str:
        parts = [f"{plural(len(self), 'object')}: {count_line(self.names)}" if len(self) else "no objects"]
        parts.append(f"{self.size[0]} x {self.size[1]} pixels")
        if len(self):
            parts.append(f"scores {self.scores.min():.2f} to {self.scores.max():.2f}")
        parts += [self.path.name] if self.path else []
        return f"Result({'; '.join([*parts, *self.notes])})"

    def _repr_html_(self) -> str:
        rows = [
            (number, name, f"{score:.2f}", f"{area:,}", ", ".join(f"{edge:.0f}" for edge in box))
            for number, (name, score, area, box) in enumerate(
                zip(self.names, self.scores.tolist(), self.masks.area().tolist(), self.boxes.tolist(), strict=True)
            )
        ]
        head = ("", "class", "score", "area, pixels", "box: x1, y1, x2, y2")
        table = html_table([head, *rows], words=2, most=_TABLE_ROWS) if rows else ""
        return f"<div>{self.html_picture()}<div>{escaped(repr(self)[len('Result(') : -1])}</div>{table}</div>"

    def html_picture(self, side: int = SIDE) -> str:
        """The overlay as an <img> element that holds its own JPEG, at most ``side`` pixels wide or high.

        Empty if the result kept no image.
        """
        if self.image is None:
            return ""
        return html_picture(self.draw(), side)

    def semantic(self) -> np.ndarray:
        """The class of each pixel: int32 [H, W], 0..K-1, -1 where there is no object.

        Where objects overlap, the one with the higher score wins.
        """
        return self._label_map(self.labels, background=-1)

    def instances(self) -> np.ndarray:
        """The object at each pixel: int32 [H, W], k for the k-th object (from 1), 0 where there is none.

        Where objects overlap, the one with the higher score wins.
        """
        return self._label_map(np.arange(1, len(self) + 1), background=0)

    def _label_map(self, values: np.ndarray, background: int) -> np.ndarray:
        canvas = np.full(self.size, background, dtype=np.int32)
        # The lowest score first; of equal scores the first object is painted last.
        for k in np.argsort(-self.scores, kind="stable")[::-1]:
            crop = self.masks[int(k)]
            h, w = crop.bitmap.shape
            canvas[crop.y : crop.y + h, crop.x : crop.x + w][crop.bitmap] = values[k]
        return canvas

    def to_coco(self, image_id: int, iou_type: IouType = "segm") -> list[dict[str, Any]]:
        """The objects as COCO results: JSON-ready dicts, for ``COCO.loadRes`` and a ``COCOeval`` of the same iou_type.

        Each holds image_id, category_id (label + 1), category_name, score, area in pixels, and file_name if the image
        is a file. With "segm" also segmentation (compressed RLE) and box [x1, y1, x2, y2]; with "bbox" instead
        bbox [x, y, width, height]. Never both: pycocotools would sort masks into sizes by the areas of their boxes.

        Raises:
            MaskRCNNError: iou_type is neither, or image_id is not a whole number.
        """
        if not is_whole(image_id):
            raise MaskRCNNError(f"image_id: expected a whole number, found {shown(image_id)}", fix="number the images")
        if iou_type not in ("segm", "bbox"):
            raise MaskRCNNError(f"expected an iou_type 'segm' or 'bbox', found {shown(iou_type)}")
        source = {"file_name": self.path.name} if self.path and self.path.name else {}
        rows: list[dict[str, Any]] = []
        columns = (self.labels, self.boxes, self.scores, self.masks.area())
        objects = zip(self.names, self.masks.rle(), *(column.tolist() for column in columns), strict=True)
        for name, rle, label, (x1, y1, x2, y2), score, area in objects:
            row = {"image_id": image_id, **source, "category_id": label + 1, "category_name": name, "score": score}
            if iou_type == "segm":
                row |= {"area": area, "box": [x1, y1, x2, y2], "segmentation": rle}
            else:
                row |= {"area": (x2 - x1) * (y2 - y1), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            rows.append(row)
        return rows

    def measure(self) -> list[dict[str, Any]]:
        """Size, shape and brightness of each object, one dict each: `pandas.DataFrame(result.measure())` is a table.

        Keys: index, class_name, score; area (pixels); centroid_x, centroid_y (image coordinates, the centre of the
        top-left pixel is (0.5, 0.5)); perimeter, equivalent_diameter, major_axis, minor_axis (pixels); eccentricity,
        solidity (0..1); orientation (radians between the image's vertical and the major axis, counter-clockwise,
        -pi/2..pi/2); with an image also mean_intensity and mean_red, mean_green, mean_blue (0..255).
        Of an empty mask the area is 0 and the other figures are NaN. skimage.measure.regionprops defines them.
        """
        objects = zip(self.names, self.scores.tolist(), self.masks, strict=True)
        return [
            {"index": k, "class_name": name, "score": score, **measure_mask(mask, self.image)}
            for k, (name, score, mask) in enumerate(objects)
        ]

    def draw(self, image: np.ndarray | None = None, *, labels: bool = True, opacity: float = 0.4) -> Image.Image:
        """The objects drawn over their image, as an RGB picture of the same size.

        Args:
            image: uint8 [H, W, 3] RGB, used instead of the image kept in the result.
            labels: write class and score beside each object, or one legend if there are too many.
            opacity: of the fills, 0..1.

        Raises:
            MaskRCNNError: there is no image, or it is not of this size.
        """
        image = self.image if image is None else image
        if image is None:
            raise MaskRCNNError("this result kept no image to draw on", where=self.path, fix="give one: draw(image)")
        if not isinstance(image, np.ndarray):
            what = f"expected an image uint8 [H, W, 3], found {type(image).__name__}"
            raise MaskRCNNError(what, where=self.path, fix="give numpy.asarray(image)")
        opacity = checked_share(opacity, "opacity")
        self._check_size(image)
        crops = list(self.masks.crops)
        return draw_objects(image, crops, self.boxes, self.names, self.scores, labels=labels, opacity=opacity)

    def save(self, path: str | Path) -> None:
        """Write the overlay in the format of the suffix; with suffix .json, the COCO results (image_id 1).

        Raises:
            MaskRCNNError: the suffix is unknown or the file cannot be written.
        """
        path = checked_path(path, "save")
        suffix, fix = path.suffix.lower(), "use .png, .jpg or .json"
        kind = Image.registered_extensions().get(suffix)
        if kind not in Image.SAVE and suffix != ".json":
            raise MaskRCNNError("cannot write: expected the suffix of an image format or .json", where=path, fix=fix)
        make_folder(path.parent, "cannot write")
        if suffix == ".json":
            write_text(path, json.dumps(self.to_coco(1)) + "\n")
            return
        picture = self.draw()
        try:
            with replacing(path) as part:
                picture.save(part, format=kind)
        except ValueError as error:
            raise MaskRCNNError(f"cannot write: {error}", where=path, fix=fix) from error
