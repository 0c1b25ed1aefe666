"""Learning rate over a run: linear warm-up, then half a cosine down to zero."""

from __future__ import annotations

import math


def rate_factor(step: int, progress: float, warmup_steps: int) -> float:
    """Share of the peak learning rate at a step; ``progress`` is the run's, 0 to 1, by steps or by the clock."""
    warm = min((step + 1) / (warmup_steps + 1), 1.0)
    return warm * 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
