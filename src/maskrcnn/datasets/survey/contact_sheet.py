"""Contact sheets: many labelled images on one page, each with its masks, its name and what is in it.

Masks are scaled to the tile before they are overlaid: outlines stay sharp and the smallest object stays visible. Pages
are made one by one, so memory does not grow with the number of images.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from maskrcnn.annotations.objects import Objects
from maskrcnn.annotations.problem import unreadable
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.sheet_order import SheetOrder
from maskrcnn.datasets.survey.survey import Survey
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import EMPTY, Crop
from maskrcnn.output.atomic_file import make_folder, replacing
from maskrcnn.results.overlay import FEW, PAPER, RGB, count_line, draw_objects
from maskrcnn.text import suggestion, visible

SHEET: RGB = (38, 41, 48)
GREY: RGB = (168, 172, 180)
AMBER: RGB = (255, 190, 92)
GAP = 16
TEXT = 15
MOST_NAMED = 100  # objects; above, the caption alone names them
LINE_SHARE = 0.1  # width of an outline as a share of the usual object, within the bounds
LINE_BOUNDS = (1.0, 2.5)


class ContactSheets:
    """The pages of a choice of images.

    Args:
        dataset: where the images are.
        indices: which of its records, in this order.
        labels: the classes to show; all unless given.
        columns, rows: tiles on a page.
        tile: width of a tile in pixels; its height follows from the images of its page.

    Attributes:
        problems: images and objects that could not be shown, once their page is made.
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: Sequence[int],
        labels: Collection[int] | None = None,
        columns: int = 4,
        rows: int = 4,
        tile: int = 480,
    ) -> None:
        self.dataset, self.indices, self.labels = dataset, list(indices), labels
        self.columns, self.rows, self.tile = max(min(columns, len(self.indices)), 1), rows, tile
        self.problems = ProblemLog()

    def __len__(self) -> int:
        """Number of pages."""
        return math.ceil(len(self.indices) / (self.columns * self.rows))

    def __iter__(self) -> Iterator[Image.Image]:
        """The pages, RGB."""
        step = self.columns * self.rows
        for start in range(0, len(self.indices), step):
            yield self._page(self.indices[start : start + step])

    def _page(self, indices: Sequence[int]) -> Image.Image:
        aspects = [self.dataset.records[i].height / self.dataset.records[i].width for i in indices]
        cell = (self.tile, round(self.tile * float(np.clip(np.median(aspects), 0.5, 1.5))))
        caption = round(3.4 * TEXT)
        rows = math.ceil(len(indices) / self.columns)
        size = (GAP + self.columns * (cell[0] + GAP), GAP + rows * (cell[1] + caption + GAP))
        page = Image.new("RGB", size, SHEET)
        for place, index in enumerate(indices):
            x = GAP + place % self.columns * (cell[0] + GAP)
            y = GAP + place // self.columns * (cell[1] + caption + GAP)
            picture, details, dropped = self._tile(index, cell)
            page.paste(picture, (x + (cell[0] - picture.width) // 2, y + cell[1] - picture.height))
            self._caption(page, (x, y + cell[1] + 6), index, details, dropped)
        return page

    def _tile(self, index: int, cell: tuple[int, int]) -> tuple[Image.Image, str, int]:
        """One image within `cell` (width, height), what is in it, and how many objects were dropped."""
        try:
            pixels, objects = self.dataset.picture(index), self.dataset.objects(index)
            dropped = sum(problem.objects_lost for problem in objects.problems)
            self.problems.add(objects.problems)
        except MaskRCNNError as error:
            self.problems.add([unreadable(error, "unreadable-image")])
            return _error_tile(error.what, cell), "cannot be shown", 0
        kept = [k for k, label in enumerate(objects.labels) if self.labels is None or label in self.labels]
        names = [self.dataset.names[objects.labels[k]] + " (crowd)" * bool(objects.crowd[k]) for k in kept]
        # If many objects share one class, the caption names it instead of a label on each object.
        named = len(names) <= (MOST_NAMED if len(set(names)) > 1 else FEW)
        picture = overlay_tile(pixels, objects, kept, names, cell, named and len(self.dataset.names) > 1)
        boxes = sum(objects.crops[k] is None for k in kept)
        maskless = "" if not boxes else ", boxes only" if boxes == len(kept) else f", {boxes} without mask"
        return picture, (count_line(names) or "no objects") + maskless, dropped

    def _caption(self, page: Image.Image, corner: tuple[int, int], index: int, details: str, dropped: int) -> None:
        record, pen, (x, y) = self.dataset.records[index], ImageDraw.Draw(page), corner
        size = f"  {record.width} x {record.height}"
        room = self.tile - _font().getlength(size)
        name = _fit_text(record.path.name, room, middle=True)
        pen.text((x, y), name, fill=PAPER, font=_font())
        pen.text((x + _font().getlength(name), y), size, fill=GREY, font=_font())
        loss = f"{dropped} dropped  " if dropped else ""
        pen.text((x, y + 1.4 * TEXT), loss, fill=AMBER, font=_font())
        start = _font().getlength(loss)
        pen.text((x + start, y + 1.4 * TEXT), _fit_text(details, self.tile - start), fill=GREY, font=_font())


def overlay_tile(
    pixels: np.ndarray,
    objects: Objects,
    kept: Sequence[int],
    names: Sequence[str],
    cell: tuple[int, int],
    named: bool = True,
) -> Image.Image:
    """An image scaled into `cell` (width, height), with some of its objects overlaid.

    Args:
        pixels: uint8 [H, W, 3].
        objects: of that image; those without a mask show their box.
        kept: indices of the objects to show, and their `names`.
        named: whether to write these.
    """
    height, width = pixels.shape[:2]
    scale = min(cell[0] / width, cell[1] / height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    zoom = (size[0] / width, size[1] / height)
    filter_ = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    image = np.asarray(Image.fromarray(pixels).resize(size, filter_))
    crops = [EMPTY if (crop := objects.crops[k]) is None else scale_crop(crop, zoom, size) for k in kept]
    boxes = objects.boxes[list(kept)] * np.array([*zoom, *zoom], dtype=np.float32)
    usual = float(np.median(np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))) if len(boxes) else 0.0
    line = float(np.clip(LINE_SHARE * usual, *LINE_BOUNDS))
    return draw_objects(image, crops, boxes, names, None, labels=named, opacity=0.3, line=line)


def scale_crop(crop: Crop, zoom: tuple[float, float], size: tuple[int, int]) -> Crop:
    """A mask as it covers the pixels of its image scaled by `zoom` (x, y) to `size` (width, height).

    A pixel is set if half of it is covered; where that leaves none, those covered most.
    """
    bitmap, x, y = crop.tight()
    if not bitmap.size:
        return EMPTY
    corner = np.array((x, y))
    last = np.minimum(np.ceil((corner + bitmap.shape[::-1]) * zoom), size).astype(int)
    first = np.minimum(np.floor(corner * zoom).astype(int), last - 1)
    margin = math.ceil(1 / min(zoom)) + 1
    padded = Image.fromarray(np.pad(bitmap, margin).astype(np.float32))
    (x1, y1), (x2, y2) = (np.stack((first, last)) / zoom - corner + margin).tolist()
    window = tuple((last - first).tolist())
    kernel = Image.Resampling.BOX if min(zoom) < 1 else Image.Resampling.BILINEAR
    coverage = np.asarray(padded.resize(window, kernel, box=(x1, y1, x2, y2)))
    return Crop(coverage >= min(0.5, float(coverage.max())), int(first[0]), int(first[1]))


def choose_images(
    dataset: Dataset,
    count: int | None = None,
    sort: SheetOrder = "random",
    seed: int = 0,
    labels: Collection[int] | None = None,
    survey: Survey | None = None,
) -> list[int]:
    """Which images to show.

    Args:
        count: how many at most; all unless given.
        sort: at random, those with the smallest objects first, or those with most objects first.
        labels: only images with an object of these classes; other objects do not count.
        survey: of the data set; needed to sort, and to know the classes.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    if sort == "random" and labels is None:
        return order[:count].tolist()
    assert survey is not None
    wanted = np.isin(survey.label, list(labels)) if labels is not None else np.ones(len(survey.label), dtype=bool)
    objects = np.bincount(survey.image[wanted], minlength=len(dataset))
    smallest = np.full(len(dataset), np.inf)
    np.minimum.at(smallest, survey.image[wanted], survey.size[wanted])
    key = {"random": np.zeros(len(dataset)), "smallest": smallest, "most-objects": -objects}[sort]
    order = order[np.argsort(key[order], kind="stable")]
    return [int(i) for i in order if objects[i] or labels is None][:count]


def find_labels(dataset: Dataset, names: Sequence[str]) -> set[int]:
    """The labels of classes. Raises `MaskRCNNError` if the data set has no class of a name."""
    for name in names:
        if name not in dataset.names:
            raise MaskRCNNError(f"the data has no class {name!r}", fix=suggestion(name, dataset.names, 8))
    return {dataset.names.index(name) for name in names}


def find_images_by_id(dataset: Dataset, wanted: Sequence[str]) -> list[int]:
    """The indices of images given by file name, with or without suffix, or by image id.

    Raises:
        MaskRCNNError: there is no such image.
    """
    rows = {str(record.id): row for row, record in enumerate(dataset.records)}
    rows |= {record.path.stem: row for row, record in enumerate(dataset.records)}
    rows |= {record.path.name: row for row, record in enumerate(dataset.records)}
    for word in wanted:
        if word not in rows:
            ids = [record.id for record in dataset.records]
            span = f"; ids go from {min(ids)} to {max(ids)}" if ids else ""
            fix = "name images such as " + ", ".join(record.path.name for record in dataset.records[:2])
            raise MaskRCNNError(f"no image has the id or file name {word!r}{span}", fix=fix)
    return [rows[word] for word in wanted]


def _error_tile(text: str, cell: tuple[int, int]) -> Image.Image:
    """A tile that says why there is no image."""
    picture = Image.new("RGB", cell, (44, 30, 30))
    words, lines = visible(text).split(), [""]
    for word in words:
        if _font().getlength(f"{lines[-1]} {word}") > cell[0] - 40:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    fitting = [_fit_text(line, cell[0] - 40) for line in lines[: max(cell[1] // 24 - 1, 1)]]
    ImageDraw.Draw(picture).multiline_text((20, 20), "\n".join(fitting), fill=AMBER, font=_font(), spacing=6)
    return picture


def _fit_text(text: str, room: float, middle: bool = False) -> str:
    """A text shortened at its end, or in its middle, to be at most `room` pixels wide."""
    text = visible(text)
    if _font().getlength(text) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        tail = kept // 2 if middle else 0
        short = text[: kept - tail] + "…" + text[len(text) - tail :]
        if _font().getlength(short) <= room:
            return short
    return ""


@cache
def _font() -> ImageFont.FreeTypeFont:
    """A font with Latin, Greek and Cyrillic letters, which Pillow's own lacks."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", TEXT)


def save_pages(sheets: ContactSheets, path: Path) -> Iterator[Path]:
    """Write the pages one by one; several get numbers before the suffix. Yields each path once it is written.

    Raises:
        MaskRCNNError: the file cannot be written, or its suffix names no picture.
    """
    check_suffix(path)
    for number, page in enumerate(sheets, start=1):
        place = path if len(sheets) == 1 else path.with_stem(f"{path.stem}-{number:0{len(str(len(sheets)))}d}")
        make_folder(place.parent)
        with replacing(place) as part:
            page.save(part, format="PNG" if place.suffix.lower() == ".png" else "JPEG")
        yield place


def check_suffix(path: Path) -> None:
    """Raises `MaskRCNNError` if a file's suffix names no picture that can be written."""
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        what = "expected a file name that ends in .png or .jpg"
        raise MaskRCNNError(what, where=path, fix="give one, such as sheet.png")
