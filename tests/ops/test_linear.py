"""A linear layer by oneDNN against the plain one, and which form runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.ops import linear as module
from maskrcnn.ops.linear import linear, linear_form

CPU = torch.device("cpu")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.03, torch.float16: 0.005, torch.float64: 1e-12}


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 40), st.integers(1, 70), st.integers(1, 40), st.sampled_from([*TOLERANCE]), st.booleans())
def test_it_is_the_plain_form(rows: int, inputs: int, outputs: int, dtype: torch.dtype, strided: bool) -> None:
    draw = torch.Generator().manual_seed(rows)
    shapes = (rows, inputs), (outputs, inputs), (outputs,)
    x, weight, bias = (torch.randn(shape, generator=draw).to(dtype) for shape in shapes)
    x = x.t().contiguous().t() if strided else x
    weight = (weight / inputs**0.5).to(dtype)
    found = linear(x, weight, bias)
    assert found.dtype == dtype
    wanted = x.double() @ weight.double().t() + bias.double()
    torch.testing.assert_close(found.double(), wanted, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_where_the_operator_is_missing_or_wrong_the_plain_form_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> None:
        raise AttributeError("no such operator")

    for stand_in in (missing, lambda x, weight, bias: x @ weight.t()):
        linear_form.cache_clear()
        monkeypatch.setattr(module, "_onednn", stand_in)
        assert linear_form(CPU, torch.float32) == "plain"
        x, weight, bias = torch.ones(2, 3), torch.ones(4, 3), torch.ones(4)
        assert torch.equal(linear(x, weight, bias), torch.full((2, 4), 4.0))
    linear_form.cache_clear()


def test_elsewhere_and_where_the_user_says_so_the_plain_form_runs() -> None:
    assert linear_form(torch.device("cuda"), torch.float32) == "plain"
    code = (
        "import torch; from maskrcnn.ops.linear import linear_form as f; print(f(torch.device('cpu'), torch.float32))"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env={**os.environ, "MASKRCNN_KERNELS": "plain"}, capture_output=True, text=True)
    assert done.stdout.strip() == "plain", done.stderr


def test_a_tracer_sees_an_ordinary_layer() -> None:
    class Layer(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return linear(x, torch.ones(3, 2), torch.zeros(3))

    program = torch.export.export(Layer(), (torch.ones(4, 2),))
    assert not any("mkldnn" in str(node.target) for node in program.graph.nodes)
