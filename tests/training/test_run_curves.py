"""The curves of a run: valid SVG, every finite value within its panel, at the place that its step has."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.training.run_curves import LOSSES, curves_svg


def lines(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, _, y in (point.partition(",") for point in line.get("points", "").split())]
        for line in ElementTree.fromstring(svg).iter("polyline")
    ]


def test_before_the_first_step_there_is_nothing_to_show() -> None:
    assert curves_svg([]) == ""
    assert curves_svg([{"step": 0.0, "mask_AP": 3.0}]) == ""


def test_a_line_goes_where_its_values_are() -> None:
    rows = [{"step": step, **dict.fromkeys(LOSSES, 0.2)} for step in (1.0, 2.0, 4.0)]
    *losses, total = lines(curves_svg(rows))
    assert [x for x, _ in total] == [44 + 75, 44 + 150, 44 + 300]
    (height,) = {y for _, y in total}
    (part,) = {y for line in losses for _, y in line}
    assert (204 - height) / (204 - part) == pytest.approx(5, rel=0.01)  # the sum of five equal losses
    mask, box = lines(curves_svg([*rows, {"step": 4.0, "mask_AP": 10.0, "box_AP": 20.0}]))[6:]
    assert mask[0][0] == box[0][0] == 434 + 300
    assert 204 - box[0][1] == pytest.approx(2 * (204 - mask[0][1]), abs=0.2)


@given(st.lists(st.floats(width=32), min_size=1, max_size=400), st.floats(0, 100))
def test_any_losses_give_curves_within_their_panels(values: list[float], score: float) -> None:
    rows = [{"step": float(number), **dict.fromkeys(LOSSES, value)} for number, value in enumerate(values, 1)]
    rows.append({"step": float(len(values)), "mask_AP": score, "box_AP": math.nan})
    svg = curves_svg(rows)
    assert "nan" not in svg
    assert "inf" not in svg
    assert all(34 <= y <= 204 and 44 <= x <= 734 for line in lines(svg) for x, y in line)
    assert all(len(line) <= 150 for line in lines(svg))
