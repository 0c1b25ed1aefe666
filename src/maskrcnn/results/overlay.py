"""The overlay: every object filled, outlined and named on its image.

Fills and outlines are drawn crop by crop on an RGB canvas, uint8 [H, W, 3]; there is no N x H x W array. Line width and
font scale with the image's size, so that a 12-megapixel photo on a screen looks like a small one.
Boxes are (x1, y1, x2, y2) in continuous pixels of the image; numpy and PIL only.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.box_geometry import clip_to_image
from maskrcnn.masks.crop import Crop
from maskrcnn.results.label_layout import Font, LabelLayout
from maskrcnn.text import plural, visible

RGB = tuple[int, int, int]
INK: RGB = (16, 18, 22)
PAPER: RGB = (244, 245, 247)
HALO_OPACITY = 0.6
LABEL_OPACITY = 0.92
# Up to FEW objects, every label with room is written. Beyond CROWD, labels are smaller and omit a class name that all
# share. Above FEW, a legend replaces the labels if most have no room.
FEW, CROWD = 12, 40
MIN_FONT = 11.0
INDICES = 20_000  # of pixels that a pen touches at once, which bounds memory


@functools.cache
def object_colour(index: int) -> RGB:
    """The colour of an object: golden-ratio hues in OKLCH, so that neighbours differ and all look equally strong.

    Lightness cycles through four values, which separates hues that come close after many objects.
    """
    hue = 2 * np.pi * ((0.08 + index * 0.6180339887498949) % 1.0)
    lightness, chroma = (0.80, 0.69, 0.88, 0.75)[index % 4], 0.15
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cone_roots = np.array(
        [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.291485548]]
    )
    linear_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.707614701],
        ]
    )
    linear = np.clip(linear_rgb @ (cone_roots @ np.array([lightness, a, b])) ** 3, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(value) for value in np.rint(srgb * 255))
    return red, green, blue


def draw_objects(
    image: np.ndarray,
    crops: Sequence[Crop],
    boxes: np.ndarray,
    names: Sequence[str],
    scores: np.ndarray | None,
    *,
    labels: bool = True,
    opacity: float = 0.4,
    line: float | None = None,
    colours: Sequence[RGB] | None = None,
) -> Image.Image:
    """Draw N objects over their image.

    Args:
        image: uint8 [H, W, 3], RGB; not changed.
        crops: N masks in the image's pixels. An object whose mask is empty shows its box instead.
        boxes: float32 [N, 4], image pixels.
        names: N class names.
        scores: float32 [N], 0..1; None for ground truth, whose labels are class names alone.
        labels: also write class and score beside each object. If most labels have no room, one legend with the
            count of each class replaces them.
        opacity: of the fills, 0..1.
        line: width of the outlines in pixels; by default it scales with the image's size.
        colours: N colours; by default those of `object_colour`.

    Returns:
        RGB image of W x H pixels.

    Raises:
        MaskRCNNError: the image is not uint8 [H, W, 3].
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise MaskRCNNError(f"expected an image uint8 [H, W, 3], found {image.dtype} {list(image.shape)}")
    colours = [object_colour(k) for k in range(len(crops))] if colours is None else colours
    picture = Image.fromarray(image)
    # Large objects first, so that a small one in front of them stays visible.
    areas = np.array([crop.area for crop in crops], dtype=np.int64)
    order = np.argsort(-areas, kind="stable").tolist()
    for k in order:
        stencil = Image.fromarray(crops[k].bitmap * np.uint8(round(255 * opacity)))
        picture.paste(colours[k], (crops[k].x, crops[k].y), stencil)
    height, width = image.shape[:2]
    canvas = np.array(picture)
    del picture  # saves one copy of a large image
    pen = _Pen(width=line or max(2.0, (width * height) ** 0.5 / 700))
    for k in order:
        crop = crops[k] if areas[k] else _box_frame(boxes[k], (height, width))
        pen.outline(canvas, crop, colours[k])
    picture = Image.fromarray(canvas)
    if labels and len(crops):
        _write_labels(picture, crops, boxes, names, scores, colours, gap=pen.width + 2)
    return picture


def _box_frame(box: np.ndarray, size: tuple[int, int]) -> Crop:
    """The whole box as a crop, clipped to the image: outlined if an object has no mask."""
    outer = np.concatenate((np.floor(box[:2]), np.ceil(box[2:])))
    x1, y1, x2, y2 = clip_to_image(outer, size).astype(int).tolist()
    return Crop(np.ones((max(y2 - y1, 0), max(x2 - x1, 0)), dtype=bool), x1, y1)


class _Pen:
    """A round brush moved along the cracks between a mask's pixels and the background.

    The crack midpoints of a slanted edge lie on a straight line, pixel centres do not: stroking the midpoints with
    sub-pixel distances gives a smooth line. A dark halo keeps the coloured line visible on any background.

    Args:
        width: of the coloured line, in pixels.
    """

    def __init__(self, width: float) -> None:
        self.width = width
        self.reach = int(np.ceil(width / 2 + 0.5 + max(1.0, width / 3)))
        steps = np.arange(-self.reach, self.reach + 2)
        dy, dx = np.meshgrid(steps, steps, indexing="ij")
        distance = np.hypot(dy, dx - 0.5).ravel()
        near = np.flatnonzero(distance < self.reach)
        near = near[np.argsort(-distance[near], kind="stable")]
        self.dy, self.dx, distance = dy.ravel()[near, None], dx.ravel()[near, None], np.append(np.inf, distance[near])
        self.ranks = np.arange(1, len(near) + 1, dtype=np.uint16)[:, None]
        self.line = np.clip(width / 2 + 0.5 - distance, 0, 1).astype(np.float32)
        self.halo = np.clip(self.reach - distance, 0, 1).astype(np.float32) * HALO_OPACITY

    def outline(self, canvas: np.ndarray, crop: Crop, colour: RGB) -> None:
        """Stroke the crop's edge on the canvas, uint8 [H, W, 3], in place."""
        margin = self.reach + 1
        height, stride = (side + 2 * margin for side in crop.bitmap.shape)
        padded = np.zeros((height, stride), dtype=bool)
        padded[margin:-margin, margin:-margin] = crop.bitmap
        beside = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
        beside += beside // (stride - 1)
        below = np.flatnonzero(padded[1:] != padded[:-1])
        # Farthest offsets first: each pixel keeps the rank of its nearest crack, 0 if none is in reach. Of values for
        # one pixel in one assignment the last stays.
        nearest = np.zeros(padded.size, dtype=np.uint16)
        at_once = max(1, INDICES // max(beside.size + below.size, 1))
        for start in range(0, len(self.ranks), at_once):
            part = slice(start, start + at_once)
            dy, dx = self.dy[part], self.dx[part]
            reached = np.concatenate((beside + (dy * stride + dx), below + (dx * stride + dy)), axis=1)
            nearest[reached] = self.ranks[part]
        touched = nearest.nonzero()[0]
        ys, xs = np.divmod(touched, stride)
        ys += crop.y - margin
        xs += crop.x - margin
        inside = (ys >= 0) & (ys < canvas.shape[0]) & (xs >= 0) & (xs < canvas.shape[1])
        ys, xs, ranks = ys[inside], xs[inside], nearest[touched[inside]]
        halo, line = self.halo[ranks, None], self.line[ranks, None]
        pixels = canvas[ys, xs] * (1 - halo) + np.array(INK, dtype=np.float32) * halo
        bright = np.array(colour, dtype=np.float32) * 0.8 + 51
        canvas[ys, xs] = np.rint(pixels + (bright - pixels) * line).astype(np.uint8)


def _write_labels(
    picture: Image.Image,
    crops: Sequence[Crop],
    boxes: np.ndarray,
    names: Sequence[str],
    scores: np.ndarray | None,
    colours: Sequence[RGB],
    gap: float,
) -> None:
    """Write each object's label where it hides least; for many objects add a legend, or write only that."""
    names = [visible(name) for name in names]
    crowd, one_class = len(names) > CROWD, len(set(names)) == 1
    if scores is None:
        texts, rank = list(names), np.array([crop.area for crop in crops])
    else:
        # Only 1.0 is written as 100 %.
        texts = [f"{min(round(float(score) * 100), 99) if score < 1 else 100}%" for score in scores]
        rank = np.asarray(scores)
        if not (crowd and one_class):
            texts = [f"{name} {text}" for name, text in zip(names, texts, strict=True)]
    base = max(MIN_FONT, (picture.width * picture.height) ** 0.5 / 64)
    layout = LabelLayout((picture.height, picture.width), crops, boxes)
    order = np.argsort(-rank, kind="stable")
    *larger, smallest = (0.75, 0.6) if crowd else (1.0, 0.8, 0.65)
    for scale in (*larger, smallest):
        font = Font(max(MIN_FONT, base * scale))
        legend, corner = _place_legend(layout, names, font) if crowd else ("", None)
        misses = len(texts) if scale == smallest else len(texts) // 10
        positions = layout.place([font.chip(text) for text in texts], order, gap, misses)
        if positions.count(None) <= misses:
            break
    placed = len(positions) - positions.count(None)
    ink = placed * np.prod(font.chip("99%")) / (picture.width * picture.height)
    if len(texts) > FEW and (placed < 0.6 * len(texts) or (crowd and ink > 0.15)):
        positions = [None] * len(texts)
        font = Font(base)
        legend, corner = _place_legend(layout, names, font)
    for k, position in enumerate(positions):
        if position is not None:
            _write_chip(picture, position, texts[k], font, INK, colours[k])
    if corner is not None:
        _write_chip(picture, corner, legend, font, PAPER, INK)


def count_line(names: Sequence[str]) -> str:
    """How many of each class, the most frequent first: "9 nucleus, 3 cell"."""
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())


def _place_legend(layout: LabelLayout, names: Sequence[str], font: Font) -> tuple[str, tuple[int, int] | None]:
    """Count of objects and of each class, shortened to fit the image, and its corner; "" and None if nothing fits."""
    total, parts = plural(len(names), "object"), count_line(names).split(", ")
    shown = range(len(parts), 0, -1)
    some = [f"{total}: {', '.join(parts[:n])}{', ...' if n < len(parts) else ''}" for n in shown]
    for text in [*(some if len(parts) > 1 else parts), total, str(len(names))]:
        chip = font.chip(text)
        if chip[0] <= layout.size[1] * 0.9:
            return text, layout.reserve_corner(chip, margin=round(font.size / 2))
    return "", None


def _write_chip(picture: Image.Image, corner: tuple[int, int], text: str, font: Font, ink: RGB, paper: RGB) -> None:
    """Write text on a rounded box whose top-left pixel is corner (x, y)."""
    w, h = font.chip(text)
    x, y = corner
    for inset, colour, opacity in ((0.0, INK, 0.55), (max(1.0, font.size / 14), paper, LABEL_OPACITY)):
        picture.paste(colour, (x, y), _rounded_box(w, h, inset, opacity))
    ImageDraw.Draw(picture).text((x + w / 2, y + h / 2), text, fill=ink, font=font.face, anchor="mm")


@functools.lru_cache(maxsize=64)  # labels of one class differ in a digit
def _rounded_box(width: int, height: int, inset: float, opacity: float) -> Image.Image:
    """A box inside a margin, as a stencil of width x height pixels."""
    # Drawn four times as large and averaged: PIL's own corners are jagged.
    stencil = Image.new("L", (4 * width, 4 * height))
    frame = (4 * inset, 4 * inset, 4 * (width - inset) - 1, 4 * (height - inset) - 1)
    ImageDraw.Draw(stencil).rounded_rectangle(frame, 4 * (height * 0.28 - inset), fill=round(255 * opacity))
    return stencil.reduce(4)
