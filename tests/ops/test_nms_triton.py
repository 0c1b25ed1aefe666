"""The CUDA kernel of non-maximum suppression against the plain form and torchvision.

On a machine without CUDA `test_kernels.py` runs this file once more in Triton's interpreter.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.ops.boxes import iou
from maskrcnn.ops.nms import nms as dispatched
from maskrcnn.ops.nms import nms_plain

pytest.importorskip("triton", reason="Triton is not installed")

from maskrcnn.ops import nms_triton

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
runs = pytest.mark.skipif(DEVICE == "cpu" and not INTERPRETED, reason="no CUDA device, and not Triton's interpreter")
needs_cuda = pytest.mark.skipif(DEVICE == "cpu", reason="no CUDA device")

# A coarse grid: many equal boxes, many ties at the threshold, some empty boxes.
place, extent = st.integers(0, 6), st.integers(0, 5)
row = st.tuples(place, place, extent, extent, st.booleans(), st.integers(0, 2))


def kernel(boxes: Tensor, valid: Tensor, threshold: float, group: Tensor | None = None) -> Tensor:
    keep = nms_triton.nms(boxes.to(DEVICE), valid.to(DEVICE), threshold, None if group is None else group.to(DEVICE))
    assert keep.dtype == torch.bool
    return keep.cpu()


def random_boxes(*shape: int, seed: int = 0, span: float = 90.0, side: float = 40.0) -> Tensor:
    corner, size = torch.rand(2, *shape, 2, generator=torch.Generator().manual_seed(seed))
    return torch.cat((corner * span, corner * span + size * side), dim=-1)


def everyone(boxes: Tensor) -> Tensor:
    return torch.ones(boxes.shape[:-1], dtype=torch.bool)


@runs
@settings(max_examples=15, deadline=None)
@given(st.lists(row, min_size=1, max_size=40), st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.75, 1.0]), st.booleans())
def test_ties_empty_boxes_and_groups(rows: list[tuple], threshold: float, grouped: bool) -> None:
    x, y, w, h, valid, group = torch.tensor([tuple(map(int, values)) for values in rows]).unbind(1)
    boxes = torch.stack((x, y, x + w, y + h), dim=1).float()
    arguments = boxes, valid.bool(), threshold, group if grouped else None
    assert torch.equal(kernel(*arguments), nms_plain(*arguments))


@runs
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_a_threshold_that_is_an_overlap(seed: int, data: st.DataObject) -> None:
    """A last bit that differs from the plain form's float32 overlap turns the comparison."""
    boxes = random_boxes(24, seed=seed, span=30.0)
    overlaps = iou(boxes, boxes).triu(1).flatten()
    # Boxes are settled by the threshold of one pair, whichever survives.
    threshold = data.draw(st.sampled_from(overlaps[overlaps > 0].unique().tolist() or [0.5]))
    assert torch.equal(kernel(boxes, everyone(boxes), threshold), nms_plain(boxes, everyone(boxes), threshold))


@runs
@pytest.mark.parametrize("count", [1, 32, 33, 128, 129, 290])
def test_any_count_is_torchvisions(count: int) -> None:
    boxes = random_boxes(count)
    expected = torch.zeros(count, dtype=torch.bool)
    expected[torchvision.ops.nms(boxes, torch.arange(count, 0, -1).float(), 0.3)] = True
    assert torch.equal(kernel(boxes, everyone(boxes), 0.3), expected)


@runs
def test_a_long_chain_through_all_words() -> None:
    """Each box overlaps only its neighbours by 2/3: every other one survives."""
    start = torch.arange(200.0)
    boxes = torch.stack((start, 0 * start, start + 5, 0 * start + 1), dim=1)
    valid = everyone(boxes)
    assert kernel(boxes, valid, 0.5).tolist() == [k % 2 == 0 for k in range(200)]
    valid[0] = False
    assert kernel(boxes, valid, 0.5).tolist() == [k % 2 == 1 for k in range(200)]


@runs
def test_one_box_suppresses_all_others() -> None:
    """Every bit of every word, the sign among them."""
    boxes = torch.tensor([0.0, 0, 1, 1]).expand(200, 4)
    valid = everyone(boxes)
    valid[:3] = False
    assert kernel(boxes, valid, 0.5).nonzero().flatten().tolist() == [3]


@runs
def test_boxes_that_are_no_boxes() -> None:
    nan, inf = float("nan"), float("inf")
    odd = torch.tensor([nan, 0, 5, 5, inf, 0, inf, 9, 0, 0, inf, inf, -inf, -inf, inf, inf, 5, 5, 0, 0, 2, 2, 2, 2])
    boxes = torch.cat((odd.reshape(-1, 4), random_boxes(10, span=5.0), odd.reshape(-1, 4).flip(0)))
    for threshold in (0.0, 0.5):
        assert torch.equal(kernel(boxes, everyone(boxes), threshold), nms_plain(boxes, everyone(boxes), threshold))


@runs
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_leading_dimensions_and_strides(dtype: torch.dtype) -> None:
    boxes = random_boxes(2, 40, 3, span=30.0).transpose(1, 2)
    generator = torch.Generator().manual_seed(1)
    valid = torch.rand(2, 40, 3, generator=generator).transpose(1, 2) < 0.8
    group = torch.randint(0, 2, (3, 40), generator=generator, dtype=dtype).expand(2, 3, 40)
    for given_group in (None, group):
        expected = nms_plain(boxes, valid, 0.3, given_group)
        assert torch.equal(kernel(boxes, valid, 0.3, given_group), expected)
        assert expected.shape == (2, 3, 40)


@runs
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_boxes_of_any_precision(dtype: torch.dtype) -> None:
    boxes = random_boxes(50).to(dtype)
    assert torch.equal(kernel(boxes, everyone(boxes), 0.3), nms_plain(boxes, everyone(boxes), 0.3))


@runs
def test_no_row_and_no_valid_box() -> None:
    assert kernel(torch.zeros(0, 3, 4), torch.ones(0, 3, dtype=torch.bool), 0.5).shape == (0, 3)
    assert not kernel(torch.zeros(2, 40, 4), torch.zeros(2, 40, dtype=torch.bool), 0.5).any()


@needs_cuda
@pytest.mark.parametrize("count", [1000, 2000, 4500])
def test_thousands_of_boxes_without_a_host_sync(count: int) -> None:
    boxes = random_boxes(3, count, span=800.0, side=200.0)
    valid = torch.rand(3, count, generator=torch.Generator().manual_seed(1)) < 0.9
    expected = dispatched(boxes, valid, 0.5)
    arguments = boxes.cuda(), valid.cuda(), 0.5
    dispatched(*arguments)
    torch.cuda.set_sync_debug_mode("error")
    try:
        keep = dispatched(*arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(keep.cpu(), expected)


@needs_cuda
def test_it_replays_in_a_cuda_graph() -> None:
    boxes, valid = random_boxes(2, 500).cuda(), torch.ones(2, 500, dtype=torch.bool, device="cuda")
    dispatched(boxes, valid, 0.5)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        keep = dispatched(boxes, valid, 0.5)
    for seed in range(3):
        boxes.copy_(random_boxes(2, 500, seed=seed))
        graph.replay()
        assert torch.equal(keep.cpu(), dispatched(boxes.cpu(), valid.cpu(), 0.5))


@pytest.mark.skipif(INTERPRETED, reason="the interpreter's kernels cannot be compiled")
@pytest.mark.parametrize("capability", [80, 90])
def test_it_compiles_for_cards_that_are_not_here(
    capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triton import compile as compiled
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    target = GPUTarget("cuda", capability, 32)
    suppress = {
        "boxes": "*fp32",
        "group": "*i64",
        "suppressed": "*i32",
        "threshold": "fp32",
        "count": "i32",
        "words": "i32",
        "GROUPED": "constexpr",
        "TILE": "constexpr",
    }
    source = ASTSource(nms_triton._suppress, suppress, {"GROUPED": True, "TILE": 128})
    ptx = compiled(source, target=target, options={"enable_fp_fusion": False}).asm["ptx"]
    assert "div.rn." in ptx
    assert "fma." not in ptx
    settle = {
        "suppressed": "*i32",
        "valid": "*u8",
        "keep": "*u8",
        "count": "i32",
        "boxes_padded": "i32",
        "words": "i32",
        "WORDS": "constexpr",
    }
    assert compiled(ASTSource(nms_triton._settle, settle, {"WORDS": 64}), target=target).asm["cubin"]
