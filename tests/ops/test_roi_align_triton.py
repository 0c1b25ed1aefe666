"""The CUDA kernel of RoIAlign against torchvision's operator and the plain form.

On a machine without CUDA `test_kernels.py` runs this file once more in Triton's interpreter.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torchvision
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.model.roi_align import roi_align as plain_on_cpu

pytest.importorskip("triton", reason="Triton is not installed")

from maskrcnn.ops import roi_align_triton

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
runs = pytest.mark.skipif(DEVICE == "cpu" and not INTERPRETED, reason="no CUDA device, and not Triton's interpreter")
needs_cuda = pytest.mark.skipif(DEVICE == "cpu", reason="no CUDA device")

SIZES = ((9, 7), (4, 5))  # two levels
IMAGES = 2

coordinate = st.floats(-4, 12, width=32) | st.integers(-3, 10).map(float) | st.floats(-1000, 1000, width=32)
extent = st.sampled_from([0.0, 0.3, -5.0]) | st.floats(0, 12, width=32) | st.floats(0, 900, width=32)


class Case(NamedTuple):
    levels: list[Tensor]  # [IMAGES, F, height, width]
    table: Tensor  # [P, F], the same cells
    places: tuple[Tensor, Tensor, Tensor]  # origin, height, width [R]
    which: list[tuple[int, int]]  # the level and image of each RoI


def case(rois: int, channels: int, dtype: torch.dtype = torch.float32, sizes: tuple = SIZES) -> Case:
    generator = torch.Generator().manual_seed(channels)
    levels = [torch.randn(IMAGES, channels, *size, generator=generator).to(dtype) for size in sizes]
    table = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, channels) for level in levels])
    which = [(index % len(sizes), index // len(sizes) % IMAGES) for index in range(rois)]
    starts = [0, *torch.tensor([IMAGES * h * w for h, w in sizes]).cumsum(0).tolist()]
    rows = [(starts[level] + image * sizes[level][0] * sizes[level][1], *sizes[level]) for level, image in which]
    origin, height, width = torch.tensor(rows, dtype=torch.long).reshape(-1, 3).to(DEVICE).unbind(1)
    return Case(levels, table.to(DEVICE).requires_grad_(), (origin, height, width), which)


def torchvisions(case: Case, boxes: Tensor, bins: tuple[int, int], sampling: int, aligned: bool) -> Tensor:
    outs = [torchvision.ops.roi_align(case.levels[0], torch.zeros(0, 5), bins)]
    for (level, image), box in zip(case.which, boxes, strict=True):
        roi = torch.cat((torch.tensor([float(image)]), box))[None]
        outs.append(torchvision.ops.roi_align(case.levels[level], roi, bins, 1.0, sampling, aligned))
    return torch.cat(outs)


def ordinary_boxes(count: int, span: float = 8.0, side: float = 6.0) -> Tensor:
    corner, size = torch.rand(2, count, 2, generator=torch.Generator().manual_seed(count))
    return torch.cat((corner * span - 1, corner * span - 1 + size * side), dim=1)


@runs
@settings(max_examples=12, deadline=None)
@example([], True, 2, (2, 3))
@given(
    st.lists(st.tuples(coordinate, coordinate, extent, extent), max_size=3),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from([(1, 1), (2, 3)]),
)
def test_equals_torchvision_on_every_level_forward_and_gradient(
    rows: list[tuple[float, ...]], aligned: bool, sampling: int, bins: tuple[int, int]
) -> None:
    x, y, w, h = torch.tensor(rows).reshape(-1, 4).unbind(1)
    boxes = torch.stack((x, y, x + w, y + h), dim=1)
    given_case = case(len(boxes), 3)
    for level in given_case.levels:
        level.requires_grad_()
    got = roi_align_triton.roi_align(given_case.table, *given_case.places, boxes.to(DEVICE), bins, sampling, aligned)
    want = torchvisions(given_case, boxes, bins, sampling, aligned)
    torch.testing.assert_close(got.cpu(), want, atol=1e-5, rtol=1e-5)
    weight = torch.randn(want.shape, generator=torch.Generator().manual_seed(0))
    (got * weight.to(DEVICE)).sum().backward()
    (want * weight).sum().backward()
    gradients = [torch.zeros_like(level) if level.grad is None else level.grad for level in given_case.levels]
    expected = torch.cat([gradient.permute(0, 2, 3, 1).reshape(-1, 3) for gradient in gradients])
    torch.testing.assert_close(given_case.table.grad.cpu(), expected, atol=1e-5, rtol=1e-5)


@runs
@pytest.mark.parametrize("channels", [1, 96, 300])
@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_any_number_of_channels(channels: int, kind: torch.dtype) -> None:
    boxes, given_case = ordinary_boxes(3), case(3, channels)
    places = [place.to(kind) for place in given_case.places]
    got = roi_align_triton.roi_align(given_case.table, *places, boxes.to(DEVICE), (2, 2), 2, False)
    want = torchvisions(given_case, boxes, (2, 2), 2, False)
    torch.testing.assert_close(got.detach().cpu(), want, atol=1e-5, rtol=1e-5)
    assert got.permute(0, 2, 3, 1).is_contiguous()


@runs
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_sums_in_float32(dtype: torch.dtype) -> None:
    boxes, given_case = ordinary_boxes(4), case(4, 5, dtype)
    exact = Case([level.float().requires_grad_() for level in given_case.levels], *given_case[1:])
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        got = roi_align_triton.roi_align(given_case.table, *given_case.places, boxes.to(DEVICE), (2, 2), 2, True)
    want = torchvisions(exact, boxes, (2, 2), 2, True)
    assert got.dtype == dtype
    # One rounding, at the end.
    precision = torch.finfo(dtype).eps
    torch.testing.assert_close(got.detach().cpu().float(), want.detach(), atol=1e-6, rtol=precision)
    got.sum().backward()
    want.sum().backward()
    expected = torch.cat([level.grad.permute(0, 2, 3, 1).reshape(-1, 5) for level in exact.levels])
    assert given_case.table.grad.dtype == dtype
    torch.testing.assert_close(given_case.table.grad.cpu().float(), expected, atol=1e-6, rtol=precision)


@runs
@pytest.mark.parametrize("aligned", [False, True])
def test_boxes_that_are_not_finite_are_the_plain_forms(aligned: bool) -> None:
    nan, inf = float("nan"), float("inf")
    boxes = torch.tensor([[nan, 1, 4, 4], [-inf, 0, inf, 3], [1, nan, nan, 2e9], [inf, inf, inf, inf]])
    given_case = case(4, 3, sizes=(SIZES[0],))
    image = torch.tensor([image for _, image in given_case.which])
    got = roi_align_triton.roi_align(given_case.table, *given_case.places, boxes.to(DEVICE), (2, 2), 2, aligned)
    want = plain_on_cpu(given_case.levels[0], boxes, image, 2, 1.0, 2, aligned)
    torch.testing.assert_close(got.detach().cpu(), want, atol=1e-5, rtol=1e-5)


@runs
def test_points_on_the_limit_of_a_map_count() -> None:
    """A cell outside is the last place that weighs: the border cell's value; the next float beyond is 0."""
    given_case = case(4, 2, sizes=((3, 3),))
    beyond = torch.nextafter(torch.tensor(-1.0), torch.tensor(-2.0)).item()
    points = [(-1.0, 1.0), (beyond, 1.0), (3.0, 1.0), (1.0, 3.0)]
    # One sample in one bin of one cell: the box's centre.
    boxes = torch.tensor([(x, y, x, y) for x, y in points]) + 0.5
    got = roi_align_triton.roi_align(given_case.table, *given_case.places, boxes.to(DEVICE), (1, 1), 1, True)
    want = torchvisions(given_case, boxes, (1, 1), 1, True)
    assert torch.equal(got.detach().cpu(), want)
    assert (got[1] == 0).all() == (boxes[1, 0] - 0.5 < -1)
    assert (got[0] != 0).all()


@runs
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode: type) -> None:
    boxes, given_case = ordinary_boxes(2), case(2, 3)
    with mode():
        got = roi_align_triton.roi_align(given_case.table, *given_case.places, boxes.to(DEVICE), (2, 2), 1, False)
    assert not got.requires_grad
    torch.testing.assert_close(got.cpu(), torchvisions(given_case, boxes, (2, 2), 1, False), atol=1e-5, rtol=1e-5)


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_full_size_pyramid(dtype: torch.dtype) -> None:
    given_case = case(600, 256, dtype, sizes=((200, 304), (100, 152), (50, 76)))
    boxes = ordinary_boxes(600, 60.0, 40.0)
    exact = Case([level.float().requires_grad_() for level in given_case.levels], *given_case[1:])
    got = roi_align_triton.roi_align(given_case.table, *given_case.places, boxes.to(DEVICE), (7, 7), 2, True)
    want = torchvisions(exact, boxes, (7, 7), 2, True)
    precision = max(torch.finfo(dtype).eps, 1e-5)
    torch.testing.assert_close(got.detach().cpu().float(), want.detach(), atol=1e-5, rtol=precision)
    got.sum().backward()
    want.sum().backward()
    expected = torch.cat([level.grad.permute(0, 2, 3, 1).reshape(-1, 256) for level in exact.levels])
    torch.testing.assert_close(given_case.table.grad.cpu().float(), expected, atol=1e-4, rtol=precision)


@pytest.mark.skipif(INTERPRETED, reason="the interpreter's kernels cannot be compiled")
@pytest.mark.parametrize(("capability", "dtype"), [(80, "fp32"), (90, "bf16"), (90, "fp16")])
def test_it_compiles_for_cards_that_are_not_here(
    capability: int, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triton import compile as compiled
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = {"ROWS": 7, "COLUMNS": 7, "SAMPLES": 2, "ALIGNED": True, "BLOCK": 256}
    for kernel, ends in (
        (roi_align_triton._read, {"table": f"*{dtype}", "out": f"*{dtype}"}),
        (roi_align_triton._add, {"total": "*fp32", "gradient": f"*{dtype}"}),
    ):
        places = {"origin": "*i64", "height": "*i64", "width": "*i64", "boxes": "*fp32", "channels": "i32"}
        types = {**ends, **places, **dict.fromkeys(constants, "constexpr")}
        source = ASTSource(kernel, {name: types[name] for name in kernel.arg_names}, constants)
        made = compiled(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 1})
        assert made.asm["cubin"]
