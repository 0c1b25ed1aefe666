"""Non-maximum suppression on CUDA: two launches, nothing read by the host, so it fits a CUDA graph.

The first kernel writes which boxes each box would suppress, 32 to a word. The second settles one row of the batch in a
program: word after word it knows who is gone, walks the word's 32 boxes in order and strikes out what each survivor
suppresses. That is the greedy definition itself, in a time that depends on K alone.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from maskrcnn.ops.nms import float32_below

_TILE = 128


def nms(boxes: Tensor, valid: Tensor, iou_threshold: float, group: Tensor | None = None) -> Tensor:
    """`maskrcnn.ops.nms.nms`, K at least 1; holds [..., K, K] bits."""
    count = valid.shape[-1]
    rows = valid.numel() // count
    boxes, valid = boxes.float().expand(*valid.shape, 4).contiguous(), valid.contiguous()
    words, tiles = triton.cdiv(count, 32), triton.cdiv(count, _TILE)
    suppressed = torch.empty(rows, tiles * _TILE, words, dtype=torch.int32, device=boxes.device)
    keep = torch.empty(valid.shape, dtype=torch.uint8, device=boxes.device)
    grouped = group is not None
    groups = group.expand(valid.shape).contiguous() if group is not None else boxes
    # Fused multiply-adds would round an overlap at the threshold otherwise than the plain form does.
    _suppress[(rows, tiles, words)](
        boxes, groups, suppressed, float32_below(iou_threshold), count, words, grouped, _TILE, enable_fp_fusion=False
    )
    padded = triton.next_power_of_2(words)
    _settle[(rows,)](
        suppressed, valid.view(torch.uint8), keep, count, tiles * _TILE, words, padded, num_warps=max(1, padded // 64)
    )
    return keep.view(torch.bool)


@triton.jit
def _clamp_min(value: tl.tensor, low: float) -> tl.tensor:
    # Not a number stays one, as in torch's clamp: the overlap with such a box exceeds nothing.
    return tl.where(value < low, low, value)


@triton.jit
def _suppress(
    boxes: tl.tensor,
    group: tl.tensor,
    suppressed: tl.tensor,
    threshold: float,
    count: int,
    words: int,
    GROUPED: tl.constexpr,  # noqa: N803
    TILE: tl.constexpr,  # noqa: N803
) -> None:
    """Bit b of suppressed[row, i, w] int32: does box i suppress the later box 32 w + b. Words before i's stay unset.

    boxes: float32 [rows, count, 4]; group: int [rows, count]; one program for TILE boxes and one word.
    """
    row = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * TILE
    word = tl.program_id(2)
    if word * 32 + 31 > first:
        i = first + tl.arange(0, TILE)
        bit = tl.arange(0, 32)
        j = word * 32 + bit
        box_i = boxes + (row * count + i) * 4
        box_j = boxes + (row * count + j) * 4
        left_i = tl.load(box_i, mask=i < count, other=0.0)
        top_i = tl.load(box_i + 1, mask=i < count, other=0.0)
        right_i = tl.load(box_i + 2, mask=i < count, other=0.0)
        bottom_i = tl.load(box_i + 3, mask=i < count, other=0.0)
        left_j = tl.load(box_j, mask=j < count, other=0.0)
        top_j = tl.load(box_j + 1, mask=j < count, other=0.0)
        right_j = tl.load(box_j + 2, mask=j < count, other=0.0)
        bottom_j = tl.load(box_j + 3, mask=j < count, other=0.0)
        area_i = (right_i - left_i) * (bottom_i - top_i)
        area_j = (right_j - left_j) * (bottom_j - top_j)
        width = tl.minimum(right_i[:, None], right_j[None, :]) - tl.maximum(left_i[:, None], left_j[None, :])
        height = tl.minimum(bottom_i[:, None], bottom_j[None, :]) - tl.maximum(top_i[:, None], top_j[None, :])
        inter = _clamp_min(width, 0.0) * _clamp_min(height, 0.0)
        union = area_i[:, None] + area_j[None, :] - inter
        # The plain division of Triton is off by up to 2 units in the last place.
        overlap = tl.div_rn(inter, _clamp_min(union, 1.1754943508222875e-38))
        suppresses = (overlap > threshold) & (j[None, :] > i[:, None])
        if GROUPED:
            group_i = tl.load(group + row * count + i, mask=i < count, other=0)
            group_j = tl.load(group + row * count + j, mask=j < count, other=0)
            suppresses = suppresses & (group_i[:, None] == group_j[None, :])
        bits = tl.sum(suppresses.to(tl.int32) << bit[None, :], axis=1)
        tl.store(suppressed + (row * tl.num_programs(1) * TILE + i) * words + word, bits)


@triton.jit
def _settle(
    suppressed: tl.tensor,
    valid: tl.tensor,
    keep: tl.tensor,
    count: int,
    boxes_padded: int,
    words: int,
    WORDS: tl.constexpr,  # noqa: N803
) -> None:
    """keep uint8 [rows, count] from valid uint8 [rows, count] and suppressed int32 [rows, boxes_padded, words].

    One program a row. ``gone`` holds a bit for each box, those past the last and invalid ones from the start.
    """
    row = tl.program_id(0).to(tl.int64)
    word = tl.arange(0, WORDS)
    bit = tl.arange(0, 32)
    place = word[:, None] * 32 + bit[None, :]
    is_valid = tl.load(valid + row * count + place, mask=place < count, other=0)
    gone = tl.sum((is_valid == 0).to(tl.int32) << bit[None, :], axis=1)
    table = suppressed + row * boxes_padded * words
    step = 0
    while step < words:
        here = tl.sum(tl.where(word == step, gone, 0), axis=0)
        for b in tl.static_range(32):
            line = table + (step * 32 + b) * words
            later = tl.load(line + word, mask=(word >= step) & (word < words), other=0)
            # All ones for a survivor, else 0.
            survives = ((here >> b) & 1) - 1
            here = here | (tl.load(line + step) & survives)
            gone = gone | (later & survives)
        step += 1
    kept = ((gone[:, None] >> bit[None, :]) & 1) == 0
    tl.store(keep + row * count + place, kept.to(tl.uint8), mask=place < count)
