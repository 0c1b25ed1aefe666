"""What tests of training share: a small network that learns, the rows of a run, and what happens in its n-th step."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from maskrcnn.training.learner import Learner

LEARNER: dict[str, Any] = {
    "backbone": "timm:test_resnet",
    "fpn_channels": 64,
    "anchor_sizes": [16, 32, 64, 128, 256],
    "roi_samples": 64,
    "box_hidden": [128],
    "mask_convs": [64, 64],
    "rpn_before_nms": [200, 200],
    "proposals": [200, 200],
    "max_detections": 10,
    "preprocess": {"short": [128, 128], "long": 128},
}


def history(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's CSV file, by column."""
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def at_update(number: int, then: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Do something just before the n-th step's weights move."""
    update, calls = Learner.update, []

    def updated(self: Learner, rate: float) -> Tensor:
        calls.append(rate)
        if len(calls) == number:
            then()
        return update(self, rate)

    patch.setattr(Learner, "update", updated)


def interrupt_at(number: int, patch: pytest.MonkeyPatch, kind: signal.Signals = signal.SIGINT) -> None:
    """Send this process a signal in the n-th step."""
    at_update(number, lambda: os.kill(os.getpid(), kind), patch)
