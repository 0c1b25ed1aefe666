"""How the val AP went in the run that a checkpoint comes from, if its history.csv lies beside it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.evaluation.subject import Subject
from maskrcnn.text import plural

# At least so many minutes are advised.
_LEAST_MINUTES = 10
HISTORY = "history.csv"
# AP points that count as a change, and the share of a run before which its best evaluation came early.
_CHANGE, _EARLY = 2.0, 0.6


class HistoryRow(NamedTuple):
    """One evaluation of a run: its step, the seconds of the run until then, the val AP in percent."""

    step: int
    seconds: float
    ap: float


def measured_ap(model: str) -> list[HistoryRow]:
    """Each evaluation of the run, in order: the AP of masks, or of boxes where there are none.

    Empty if the model is no file with a history beside it, or it cannot be read.
    """
    found = []
    try:
        with Path(model).with_name(HISTORY).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                values = [_number(row.get(column)) for column in ("step", "seconds", "mask_AP", "box_AP")]
                step, seconds, mask_ap, box_ap = values
                ap = box_ap if math.isnan(mask_ap) else mask_ap
                if math.isfinite(step) and math.isfinite(seconds) and not math.isnan(ap):
                    found.append(HistoryRow(int(step), seconds, ap))
    except (OSError, ValueError, csv.Error):
        return []
    return found


def run_advice(history: Sequence[HistoryRow], subject: Subject) -> Iterator[Recommendation]:
    """Advice on a run that ended while the model still improved, or went on after it had begun to overfit."""
    if len(history) < 3:
        return
    (last_step, seconds, last), before = history[-1], history[-2].ap
    best_step, _, best = max(history, key=lambda row: row.ap)
    if best_step == last_step and last - before >= _CHANGE:
        yield Recommendation(
            "still-improving",
            "The model was still improving when its training ended.",
            f"The AP on val was {before:.1f}, then {last:.1f} at the last evaluation, after "
            f"{plural(last_step, 'step')}.",
            "Train on for at least as long again.",
            subject.train(minutes=max(math.ceil(seconds / 60), _LEAST_MINUTES)),
            gain=last - before,
            measure="AP",
        )
    elif best_step <= _EARLY * last_step and best - last >= _CHANGE:
        yield Recommendation(
            "overfitted",
            "The run went on after the model had begun to overfit: it learned its training images by heart.",
            f"The AP on val was {best:.1f} after {plural(best_step, 'step')}, and {last:.1f} at the end, after "
            f"{last_step:,}.",
            "Add training images; meanwhile train with more variation, and use `best.safetensors`, not `last`.",
            subject.train(scale_jitter=[0.3, 2.0], copy_paste=0.5, patience=2),
            gain=best - last,
            measure="AP",
        )


def _number(text: str | None) -> float:
    return float(text) if text else math.nan
