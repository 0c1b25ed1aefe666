"""Learning rate over a run: linear warm-up, then half a cosine down to zero, or steps that divide it by 10."""

from __future__ import annotations

import math
from collections.abc import Sequence


def rate_factor(step: int, progress: float, warmup_steps: float, step_at: Sequence[float] | None = None) -> float:
    """Share of the peak learning rate at a step.

    Args:
        progress: of the run, 0 to 1, by steps or by the clock.
        step_at: shares of the run at which the rate is divided by 10; None for a cosine.
    """
    progress = min(max(progress, 0.0), 1.0)
    warm = min((step + 1) / (warmup_steps + 1), 1.0)
    if step_at is not None:
        return float(warm * 0.1 ** sum(progress >= share for share in step_at))
    return warm * 0.5 * (1 + math.cos(math.pi * progress))
