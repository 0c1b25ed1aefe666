"""Uniform random numbers as a pure function of a seed and a place (counter-based, after SplitMix64).

A generator's stream depends on what was drawn before and on how a batch is laid out. These numbers do not: an image
draws the same ones alone, in any batch, on any process or device, and after a run was resumed.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_MIX = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


def uniform(seeds: Tensor, count: int, stream: int = 0) -> Tensor:
    """float32 [B, count] in [0, 1), row b from seeds[b].

    Args:
        seeds: int64 [B].
        stream: which of several independent sequences of a seed.
    """
    place = torch.arange(1, count + 1, device=seeds.device)
    start = _mixed(seeds + torch.full_like(seeds, stream + 1) * _GAMMA)
    # float32 holds 24 bits exactly.
    return (_mixed(start[:, None] + place * _GAMMA) >> 40 & 0xFFFFFF).float() * 2.0**-24


def _mixed(bits: Tensor) -> Tensor:
    """SplitMix64's finaliser on int64, whose products wrap around as unsigned ones do."""
    for shift, factor in zip((30, 27), _MIX, strict=True):
        bits = (bits ^ _shifted(bits, shift)) * factor
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """A logical shift to the right: int64 shifts drag the sign along."""
    return bits >> by & (2 ** (64 - by) - 1)
