"""Places to work on: the wanted ones where that costs nothing, all of them elsewhere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.ops import host
from maskrcnn.ops.host import computed_indices, on_host, plain_only


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 4), st.integers(0, 6), st.integers(0, 2**32))
def test_places_cover_what_is_wanted(rows: int, columns: int, seed: int) -> None:
    wanted = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < 0.5
    row, column = computed_indices(wanted)
    listed = [(r, c) for r in range(rows) for c in range(columns) if wanted[r, c]]
    assert list(zip(row.tolist(), column.tolist(), strict=True)) == listed
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(host, "on_host", lambda tensor: False)
        row, column = computed_indices(wanted)
    every = [(r, c) for r in range(rows) for c in range(columns)]
    assert list(zip(row.tolist(), column.tolist(), strict=True)) == every
    assert row.dtype == column.dtype == torch.long


def test_elsewhere_no_value_is_read() -> None:
    wanted = torch.zeros(2, 3, dtype=torch.bool, device="meta")
    assert not on_host(wanted)
    row, column = computed_indices(wanted)
    assert row.shape == column.shape == (6,)
    assert row.device.type == "meta"


def test_a_compiled_graph_takes_all_places() -> None:
    compiled = torch.compile(computed_indices, backend="eager", fullgraph=True)
    assert len(compiled(torch.tensor([[True, False], [False, False]]))[0]) == 4
    assert on_host(torch.zeros(1))
    assert not torch.compile(on_host, backend="eager", fullgraph=True)(torch.zeros(1))


def test_the_user_may_want_the_plain_form(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, plain in (("plain", True), ("", False), ("fast", False)):
        monkeypatch.setenv("MASKRCNN_KERNELS", value)
        assert plain_only() == plain
    monkeypatch.delenv("MASKRCNN_KERNELS")
    assert not plain_only()
