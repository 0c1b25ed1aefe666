"""What a notebook and `print` show of an evaluation beside its tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.image_resampling import Interval


def test_how_certain_the_figures_are_is_shown() -> None:
    analysis: Any = SimpleNamespace(tables=SimpleNamespace(kind="mask"))
    evaluation = Evaluation({"mask_AP": 45.0, "box_AP": 50.0}, {}, 9, 100, analysis=analysis, data="here")
    assert str(evaluation) == "9 images of here: mask AP 45.0, box AP 50.0"
    evaluation.interval = Interval(40.0, 51.0)
    assert str(evaluation) == "9 images of here: mask AP 45.0, box AP 50.0; mask AP 40.0 to 51.0 (95 %)"
    assert "9 images of here; mask AP 40.0 to 51.0 (95 %)" in evaluation._repr_html_()
