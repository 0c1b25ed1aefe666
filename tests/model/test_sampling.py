"""Sampling by its contract."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn.model.sampling import sample_minibatch


@st.composite
def candidates(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Positive and negative [2, N], never both."""
    count = draw(st.integers(0, 25))
    kind = torch.tensor(draw(st.lists(st.integers(0, 2), min_size=2 * count, max_size=2 * count))).reshape(2, count)
    return kind == 1, kind == 2


@settings(max_examples=40, deadline=None)
@given(candidates(), st.integers(1, 30), st.sampled_from([0.25, 0.5, 1.0]))
def test_a_minibatch_keeps_its_promises(masks: tuple[Tensor, Tensor], count: int, share: float) -> None:
    positive, negative = masks
    index, valid = sample_minibatch(positive, negative, count, share, torch.arange(len(positive)))
    assert index.shape == valid.shape == (2, min(count, positive.shape[1]))
    for image in range(2):
        chosen = index[image][valid[image]]
        is_positive = positive[image][chosen]
        wanted = min(int(positive[image].sum()), int(count * share))
        assert len(set(chosen.tolist())) == len(chosen)
        assert (positive | negative)[image][chosen].all()
        assert is_positive.tolist() == [True] * wanted + [False] * (len(chosen) - wanted)
        assert len(chosen) == min(wanted + int(negative[image].sum()), count)


def test_no_candidate_at_all() -> None:
    nobody = torch.zeros(3, 10, dtype=torch.bool)
    index, valid = sample_minibatch(nobody, nobody, 4, 0.5, torch.arange(3))
    assert index.shape == (3, 4)
    assert not valid.any()
    assert ((index >= 0) & (index < 10)).all()


def test_the_seed_decides() -> None:
    positive = torch.zeros(1, 50, dtype=torch.bool)
    positive[:, ::2] = True
    draws = [sample_minibatch(positive, ~positive, 8, 0.5, torch.tensor([seed]))[0] for seed in (7, 7, 8)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_every_candidate_is_drawn_alike(kind: str) -> None:
    everyone, nobody = torch.ones(4000, 5, dtype=torch.bool), torch.zeros(4000, 5, dtype=torch.bool)
    masks = (everyone, nobody) if kind == "positive" else (nobody, everyone)
    index, valid = sample_minibatch(*masks, 2, 1.0, torch.arange(4000))
    assert valid.all()
    share = index.flatten().bincount(minlength=5) / 4000
    torch.testing.assert_close(share, torch.full((5,), 0.4), atol=0.04, rtol=0)
