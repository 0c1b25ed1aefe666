"""RoIAlign on CUDA with a fixed number of sample points: one launch for all levels and images, one for the gradient.

A program computes one bin of one RoI for up to 256 channels. The coordinates are those of `maskrcnn.ops.bilinear`,
worked out where they are used: no tap is stored. Sums are float32 whatever the table's dtype.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable


def roi_align(
    table: Tensor,
    origin: Tensor,
    height: Tensor,
    width: Tensor,
    boxes: Tensor,
    bins: tuple[int, int],
    sampling: int,
    aligned: bool,
) -> Tensor:
    """RoIAlign on maps of any sizes in one table: map cell (y, x) of RoI r is row origin[r] + y * width[r] + x.

    Differentiable in the table alone; the gradient is summed by atomic additions, so its last bits vary.

    Args:
        table: float32, bfloat16 or float16 [P, F].
        origin, height, width: int [R].
        boxes: float [R, 4], in map cells.
        bins: output size, (rows, columns).
        sampling: sample points a bin and axis, at least 1.
        aligned: half-pixel correction; without it RoIs are widened to at least one cell.

    Returns:
        [R, F, rows, columns] in the table's dtype, a view of [R, rows, columns, F].
    """
    return _RoIAlign.apply(table, origin, height, width, boxes, (*bins, sampling, aligned))


class _RoIAlign(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        origin: Tensor,
        height: Tensor,
        width: Tensor,
        boxes: Tensor,
        form: tuple[int, int, int, bool],
    ) -> Tensor:
        table, boxes = table.contiguous(), boxes.float().contiguous()
        where = (origin.contiguous(), height.contiguous(), width.contiguous(), boxes)
        channels = table.shape[1]
        out = table.new_empty(len(boxes), form[0], form[1], channels)
        block = _block(channels)
        _read[_grid(out, block)](table, *where, out, channels, *form, block, num_warps=1)
        if ctx.needs_input_grad[0]:
            # Compiles without a launch: a compiler that fails must do so here, where the plain form can take over.
            _add[(0,)](boxes, *where, out, channels, *form, block, num_warps=1)
        ctx.save_for_backward(*where)
        ctx.form, ctx.rows = form, len(table)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        gradient = gradient.permute(0, 2, 3, 1).contiguous()
        channels = gradient.shape[-1]
        total = torch.zeros(ctx.rows, channels, device=gradient.device)
        block = _block(channels)
        _add[_grid(gradient, block)](total, *ctx.saved_tensors, gradient, channels, *ctx.form, block, num_warps=1)
        return total.to(gradient.dtype), None, None, None, None, None


def _block(channels: int) -> int:
    return min(triton.next_power_of_2(channels), 256)


def _grid(bins: Tensor, block: int) -> tuple[int, int]:
    """Programs for bins [R, rows, columns, F]."""
    return bins.shape[:-1].numel(), triton.cdiv(bins.shape[-1], block)


@triton.jit
def _finite(value: tl.tensor) -> tl.tensor:
    return tl.minimum(tl.maximum(tl.where(value != value, 0.0, value), -1e7), 1e7)


@triton.jit
def _axis(box: tl.tensor, ALIGNED: tl.constexpr) -> tuple[tl.tensor, tl.tensor]:  # noqa: N803
    """Start and extent in map cells of a RoI along one axis; ``box`` points at its lower coordinate."""
    start = _finite(tl.load(box))
    end = _finite(tl.load(box + 2))
    if ALIGNED:
        start = start - 0.5
        end = end - 0.5
        extent = end - start
    else:
        extent = tl.maximum(end - start, 1.0)
    return start, extent


@triton.jit
def _taps(
    start: tl.tensor,
    extent: tl.tensor,
    bin: tl.tensor,
    point: tl.tensor,
    size: tl.tensor,
    BINS: tl.constexpr,  # noqa: N803
    SAMPLES: tl.constexpr,  # noqa: N803
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """`grid_taps` for one sample point: two cells int64 and their weights float32."""
    # Exact division, as a point on the limit of a map counts and one beyond does not.
    bin_size = tl.div_rn(extent, BINS * 1.0)
    where = start + bin * bin_size + tl.div_rn((point + 0.5) * bin_size, SAMPLES * 1.0)
    last = (size - 1).to(tl.float32)
    share = tl.where((where >= -1.0) & (where <= last + 1.0), 1.0 / SAMPLES, 0.0)
    where = tl.minimum(tl.maximum(where, 0.0), last)
    low = tl.floor(where)
    high = tl.minimum(low + 1.0, last)
    fraction = where - low
    return low.to(tl.int64), high.to(tl.int64), (1.0 - fraction) * share, fraction * share


@triton.jit
def _read(
    table: tl.tensor,
    origin: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    boxes: tl.tensor,
    out: tl.tensor,
    channels: int,
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    SAMPLES: tl.constexpr,  # noqa: N803
    ALIGNED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """out [R, ROWS, COLUMNS, channels]: the average over each bin's sample points."""
    place = tl.program_id(0)
    roi = place // (ROWS * COLUMNS)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    here = channel < channels
    top, tall = _axis(boxes + roi * 4 + 1, ALIGNED)
    left, wide = _axis(boxes + roi * 4, ALIGNED)
    rows = tl.load(height + roi)
    columns = tl.load(width + roi)
    first = table + tl.load(origin + roi).to(tl.int64) * channels
    row_of_bins = place // COLUMNS % ROWS
    total = tl.zeros([BLOCK], dtype=tl.float32)
    for i in range(SAMPLES):
        y0, y1, down0, down1 = _taps(top, tall, row_of_bins, i, rows, ROWS, SAMPLES)
        line0 = first + y0 * columns * channels
        line1 = first + y1 * columns * channels
        for j in tl.static_range(SAMPLES):
            x0, x1, right0, right1 = _taps(left, wide, place % COLUMNS, j, columns, COLUMNS, SAMPLES)
            value00 = tl.load(line0 + x0 * channels + channel, mask=here, other=0.0).to(tl.float32)
            value01 = tl.load(line0 + x1 * channels + channel, mask=here, other=0.0).to(tl.float32)
            value10 = tl.load(line1 + x0 * channels + channel, mask=here, other=0.0).to(tl.float32)
            value11 = tl.load(line1 + x1 * channels + channel, mask=here, other=0.0).to(tl.float32)
            total += down0 * right0 * value00 + down0 * right1 * value01
            total += down1 * right0 * value10 + down1 * right1 * value11
    tl.store(out + place.to(tl.int64) * channels + channel, total.to(out.dtype.element_ty), mask=here)


@triton.jit
def _add(
    total: tl.tensor,
    origin: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    boxes: tl.tensor,
    gradient: tl.tensor,
    channels: int,
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    SAMPLES: tl.constexpr,  # noqa: N803
    ALIGNED: tl.constexpr,  # noqa: N803
    BLOCK: tl.constexpr,  # noqa: N803
) -> None:
    """The transpose of `_read`: adds gradient [R, ROWS, COLUMNS, channels] to total float32 [P, channels]."""
    place = tl.program_id(0)
    roi = place // (ROWS * COLUMNS)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    here = channel < channels
    top, tall = _axis(boxes + roi * 4 + 1, ALIGNED)
    left, wide = _axis(boxes + roi * 4, ALIGNED)
    rows = tl.load(height + roi)
    columns = tl.load(width + roi)
    first = total + tl.load(origin + roi).to(tl.int64) * channels
    row_of_bins = place // COLUMNS % ROWS
    slope = tl.load(gradient + place.to(tl.int64) * channels + channel, mask=here, other=0.0).to(tl.float32)
    for i in range(SAMPLES):
        y0, y1, down0, down1 = _taps(top, tall, row_of_bins, i, rows, ROWS, SAMPLES)
        line0 = first + y0 * columns * channels
        line1 = first + y1 * columns * channels
        for j in tl.static_range(SAMPLES):
            x0, x1, right0, right1 = _taps(left, wide, place % COLUMNS, j, columns, COLUMNS, SAMPLES)
            _add_row(line0 + x0 * channels + channel, slope, down0 * right0, here)
            _add_row(line0 + x1 * channels + channel, slope, down0 * right1, here)
            _add_row(line1 + x0 * channels + channel, slope, down1 * right0, here)
            _add_row(line1 + x1 * channels + channel, slope, down1 * right1, here)


@triton.jit
def _add_row(cells: tl.tensor, slope: tl.tensor, weight: tl.tensor, here: tl.tensor) -> None:
    if weight != 0.0:
        tl.atomic_add(cells, slope * weight, mask=here, sem="relaxed")
