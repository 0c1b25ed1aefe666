"""RoIAlign (Mask R-CNN, section 3) and, for comparison, RoIPool (Fast R-CNN, section 2.1).

RoIAlign divides a floating-point RoI into k×k bins, places s×s regular sample points in each, reads the feature map at
every point by bilinear interpolation and averages (or takes the maximum). Nothing is rounded anywhere.

The plain form here is also the fast one on a CPU; on CUDA a kernel computes the same (`ops/roi_align_triton.py`).
Bilinear weights and regular grids are separable, so each axis has a small table of taps (`ops/bilinear.py`); their
outer product lists, for each bin, the rows of the flattened feature map and a weight for each, and the bin is the
weighted sum of those rows (`ops/weighted_rows.py`): no sample is ever stored, and all levels and all images are one
call. Memory: ``TAP_BUDGET`` taps at a time.

Shapes: R RoIs, F channels, boxes in continuous pixels of the input image, origin at its outer corner.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from maskrcnn.ops import kernel_choice
from maskrcnn.ops.bilinear import GridTaps, dense_weights, grid_taps
from maskrcnn.ops.weighted_rows import weighted_rows

TAP_BUDGET = 2**23


class Maps(NamedTuple):
    """Feature maps of any sizes as one table: map cell (y, x) of RoI r is row origin[r] + y * width[r] + x."""

    table: Tensor  # [P, F]
    origin: Tensor  # int [R]
    height: Tensor  # int [R]
    width: Tensor  # int [R]


def roi_align(
    features: Tensor,
    boxes: Tensor,
    image_index: Tensor,
    bins: int | tuple[int, int],
    scale: float = 1.0,
    sampling: int = 0,
    aligned: bool = False,
    mode: Literal["avg", "max"] = "avg",
) -> Tensor:
    """RoIAlign on one feature map.

    Args:
        features: [B, F, H, W].
        boxes: float [R, 4], pixels of the image.
        image_index: int [R], the image each box belongs to.
        bins: output size, (rows, columns) or one number.
        scale: feature cells a pixel, 1 / stride.
        sampling: sample points a bin and axis; 0 adapts to the RoI, ceil(RoI size in cells / bins).
        aligned: half-pixel correction: feature cell i is centred at i + 0.5 cells, as pixels are. Without it the
            whole grid sits half a cell too far right and down (the form of the first releases), and RoIs are widened
            to at least one cell.
        mode: average or maximum over a bin's sample points.

    Returns:
        [R, F, rows, columns]; 0 for sample points more than a cell outside the map.
    """
    table = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    height, width = features.shape[-2:]
    rows = torch.ones_like(image_index)
    maps = Maps(table, image_index * (height * width), rows * height, rows * width)
    return align_rois(maps, boxes * scale, bins, sampling, aligned, mode)


def crop_patches(
    patches: Tensor, patch_sizes: Tensor, boxes: Tensor, bins: int, sampling: int, aligned: bool, most: int
) -> Tensor:
    """RoIAlign on one small single-channel map for each RoI: how a mask target is cut from its object's patch.

    Args:
        patches: float [R, P, P], each filled from the top left to its own size.
        patch_sizes: int [R, 2] = (rows, columns).
        boxes: float [R, 4] in cells of the patch.
        most: sample points a bin and axis where ``sampling`` is 0, at most; a known bound spares reading the boxes.

    Returns:
        [R, bins, bins].
    """
    # A border of zeros: beyond a patch lies background, not a repetition of its last cells.
    patches, patch_sizes, boxes = F.pad(patches, (1, 1, 1, 1)), patch_sizes + 2, boxes + 1
    rows, columns, _ = _axes(boxes, patch_sizes[:, 0], patch_sizes[:, 1], (bins, bins), sampling, aligned, most)
    size = patches.shape[-1]
    return dense_weights(rows, size) @ patches @ dense_weights(columns, size).mT


def _grid(boxes: Tensor, bins: tuple[int, int], sampling: int, aligned: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Origin [R, 2], extent [R, 2] in map cells and sample points a bin [R, 2] of RoIs' grids, each as (x, y)."""
    # A diverged network must end in a loss that is not a number, not in an address outside the map.
    boxes = boxes.nan_to_num().clamp(-1e7, 1e7)
    if aligned:
        boxes = boxes - 0.5
    extent = boxes[:, 2:] - boxes[:, :2]
    if not aligned:
        extent = extent.clamp(min=1)
    if sampling > 0:
        return boxes[:, :2], extent, torch.full_like(extent, sampling, dtype=torch.long)
    # Filled where they are needed: a copy from the host would wait for the device.
    parts = torch.stack([boxes.new_full((), count) for count in bins[::-1]])
    return boxes[:, :2], extent, (extent / parts).ceil().clamp(min=0).long()


def _axes(
    boxes: Tensor,
    height: Tensor,
    width: Tensor,
    bins: tuple[int, int],
    sampling: int,
    aligned: bool,
    most: int | None = None,
) -> tuple[GridTaps, GridTaps, Tensor]:
    """Taps in y and x for boxes [R, 4] in map cells, and how many sample points [R, 2] = (y, x) a bin has."""
    start, extent, samples = _grid(boxes, bins, sampling, aligned)
    most = sampling if sampling > 0 else most
    if most is not None:
        samples, most_x, most_y = samples.clamp(max=most), most, most
    else:
        most_x, most_y = samples.amax(0).clamp(min=1).tolist()
    rows = grid_taps(start[:, 1], extent[:, 1], bins[0], samples[:, 1], most_y, height)
    columns = grid_taps(start[:, 0], extent[:, 0], bins[1], samples[:, 0], most_x, width)
    return rows, columns, samples.flip(-1)


def align_rois(
    maps: Maps, boxes: Tensor, bins: int | tuple[int, int], sampling: int, aligned: bool, mode: Literal["avg", "max"]
) -> Tensor:
    """RoIs boxes [R, 4] in map cells → [R, F, rows, columns], at most ``TAP_BUDGET`` taps (or one RoI) at a time."""
    bins = (bins, bins) if isinstance(bins, int) else bins
    boxes = boxes.float()
    if not len(boxes):
        return maps.table[:0].reshape(0, maps.table.shape[1], *bins)
    pool = _average_bins if mode == "avg" else _max_bins
    cost = bins[0] * bins[1] * 4 * (1 if mode == "avg" else maps.table.shape[1])
    if sampling > 0:

        def plain(*_: Any) -> Tensor:
            step = max(1, TAP_BUDGET // (cost * sampling**2))
            parts = [slice(start, start + step) for start in range(0, len(boxes), step)]
            chunks = [pool(_select_rois(maps, part), boxes[part], bins, sampling, aligned) for part in parts]
            return torch.cat(chunks) if len(chunks) > 1 else chunks[0]

        # The kernel adds its gradient in no fixed order and sums in float32.
        if mode == "max" or torch.are_deterministic_algorithms_enabled() or maps.table.dtype == torch.float64:
            return plain()
        return kernel_choice.call("roi align", plain, *maps, boxes, bins, sampling, aligned)

    # RoIs of like size share a chunk, so that none is padded to another's many sample points.
    points = _grid(boxes, bins, 0, aligned)[2].prod(-1)
    order = points.argsort()
    chunks_of_like_size: list[Tensor] = []
    first, costs = 0, (points[order] * cost).tolist()
    for index, largest in enumerate(costs):
        if (index + 1 - first) * largest > TAP_BUDGET and index > first:
            chunks_of_like_size.append(order[first:index])
            first = index
    chunks_of_like_size.append(order[first:])
    done = torch.cat([pool(_select_rois(maps, part), boxes[part], bins, 0, aligned) for part in chunks_of_like_size])
    return done[order.argsort()]


def _select_rois(maps: Maps, part: slice | Tensor) -> Maps:
    return Maps(maps.table, maps.origin[part], maps.height[part], maps.width[part])


def _average_bins(maps: Maps, boxes: Tensor, bins: tuple[int, int], sampling: int, aligned: bool) -> Tensor:
    """One weighted sum of table rows for each bin: the outer product of the two axes' taps."""
    rows, columns, _ = _axes(boxes, maps.height, maps.width, bins, sampling, aligned)
    rows, columns = (GridTaps(*(part.flatten(2) for part in axis)) for axis in (rows, columns))
    if sampling == 0:
        rows, columns = _merge_taps(rows, maps.height), _merge_taps(columns, maps.width)
    index = rows.cell * maps.width[:, None, None] + maps.origin[:, None, None]
    index = index[:, :, None, :, None] + columns.cell[:, None, :, None, :]
    weight = rows.weight[:, :, None, :, None] * columns.weight[:, None, :, None, :]
    taps = index.shape[-2] * index.shape[-1]
    out = weighted_rows(maps.table, index.reshape(-1, taps), weight.reshape(-1, taps))
    return out.reshape(len(boxes), *bins, -1).permute(0, 3, 1, 2)


def _merge_taps(taps: GridTaps, size: Tensor) -> GridTaps:
    """Taps [R, bins, T] as one weight for each cell of the axis, when a bin reads cells more than once on average."""
    cells = int(size.max())
    if taps.cell.shape[-1] <= cells:
        return taps
    weight = taps.weight.new_zeros(*taps.cell.shape[:2], cells).scatter_add(2, taps.cell, taps.weight)
    # Cells past a smaller map's end weigh nothing; they only must not point outside the table.
    index = torch.minimum(torch.arange(cells, device=size.device), size[:, None, None] - 1).expand(weight.shape)
    return GridTaps(index, weight)


def _max_bins(maps: Maps, boxes: Tensor, bins: tuple[int, int], sampling: int, aligned: bool) -> Tensor:
    """The largest bilinear value over each bin's sample points; 0 for a bin without any."""
    rows, columns, samples = _axes(boxes, maps.height, maps.width, bins, sampling, aligned)
    many_y, many_x = rows.cell.shape[2], columns.cell.shape[2]
    index = (rows.cell * maps.width[:, None, None, None] + maps.origin[:, None, None, None])[
        :, :, None, :, None, :, None
    ] + columns.cell[:, None, :, None, :, None, :]
    share = samples.prod(-1).to(rows.weight.dtype)[:, None, None, None, None, None, None]
    weight = rows.weight[:, :, None, :, None, :, None] * columns.weight[:, None, :, None, :, None, :] * share
    values = weighted_rows(maps.table, index.reshape(-1, 4), weight.reshape(-1, 4))
    values = values.reshape(len(boxes), *bins, many_y, many_x, -1)
    counted_y = torch.arange(many_y, device=boxes.device) < samples[:, :1]
    counted_x = torch.arange(many_x, device=boxes.device) < samples[:, 1:]
    counted = (counted_y[:, :, None] & counted_x[:, None, :])[:, None, None, :, :, None]
    best = values.masked_fill(~counted, -torch.inf).flatten(3, 4).amax(3)
    return best.masked_fill(~counted.any(3).any(3), 0).permute(0, 3, 1, 2)


def roi_pool(
    features: Tensor, boxes: Tensor, image_index: Tensor, bins: int | tuple[int, int], scale: float = 1.0
) -> Tensor:
    """RoIPool: rounds the RoI to whole cells, rounds the bins again, takes the maximum.

    Shapes and frame as in `roi_align`. A bin that holds no cell of the map is 0. Kept to show what rounding costs:
    with stride 16 a RoI's edge moves by up to 8 image pixels, which a 28×28 mask cannot undo.
    """
    bins = (bins, bins) if isinstance(bins, int) else bins
    height, width = features.shape[-2:]
    # Halves go away from zero, as C's round() sends them.
    rounded = (torch.floor((boxes * scale).abs() + 0.5) * boxes.sign()).long().tolist()
    pooled = [features.new_zeros(0, features.shape[1], *bins)]
    for (left, top, right, bottom), image in zip(rounded, image_index.tolist(), strict=True):
        right, bottom = max(right, left), max(bottom, top)
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right + 1, width), min(bottom + 1, height)
        if x1 >= x2 or y1 >= y2:
            pooled.append(features.new_zeros(1, features.shape[1], *bins))
            continue
        margin = (x1 - left, right + 1 - x2, y1 - top, bottom + 1 - y2)
        window = F.pad(features[image : image + 1, :, y1:y2, x1:x2], margin, value=-torch.inf)
        cells = F.adaptive_max_pool2d(window, bins)
        pooled.append(cells.masked_fill(cells == -torch.inf, 0))
    return torch.cat(pooled)
