"""The history: numbers survive it to the bit, and a resumed run goes on behind its last saved step."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.training.metrics_log import COLUMNS, MetricsCsv, read_metrics_csv


def written(path: Path, steps: range, after: int = 0) -> None:
    history = MetricsCsv(path, after)
    for step in steps:
        history.write(step, step / 10, {"mask": step + 0.5, "lr": 1e-3, "mask_AR": 3.0})
    history.close()


def test_steps_after_the_saved_one_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    written(path, range(1, 8))
    with path.open("a") as file:
        file.write("8,0.8,0.00")  # a kill cut it
    written(path, range(6, 9), after=5)
    rows = read_metrics_csv(path)
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(float(row["mask"]) == int(row["step"]) + 0.5 for row in rows)
    assert list(rows[0]) == list(COLUMNS)


def test_a_new_run_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    written(path, range(1, 5))
    written(path, range(1, 2))
    assert len(read_metrics_csv(path)) == 1


@given(st.floats(width=32))
def test_nine_digits_keep_a_float32(value: float) -> None:
    back = np.float32(float(f"{value:.9g}"))
    assert back == np.float32(value) or math.isnan(value)
