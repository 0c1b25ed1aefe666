"""A recommendation as it is shown: in Python as a call, on the command line as what to type, in JSON as both."""

from __future__ import annotations

import json

import pytest

from maskrcnn.cli.metrics_tables import show_next_steps
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.recommendation import Recommendation, by_gain
from maskrcnn.evaluation.subject import Subject

LOOK = Recommendation(
    "a", "Labels are <missing>.", "3 of 9.", "See `doctor`.", Subject("m", "it's").evaluate(size=640), gain=2.0
)
READ = Recommendation("b", "Nothing to do.", "0 of 9.", "Read on.")


def test_each_place_speaks_its_own_language(capsys: pytest.CaptureFixture[str]) -> None:
    shell, python = """maskrcnn evaluate "it's" --model m --size 640""", """maskrcnn.evaluate("m", "it's", size=640)"""
    assert (LOOK.command, LOOK.python, READ.command, READ.python) == (shell, python, "", "")
    evaluation = Evaluation({"mask_AP": 1.0, "box_AP": 1.0}, {}, 9, 100, findings=[LOOK, READ])
    assert python in str(evaluation)
    assert shell not in str(evaluation)
    html = evaluation._repr_html_()
    assert "maskrcnn.evaluate(&quot;m&quot;, &quot;it&#x27;s&quot;, size=640)" in html
    assert "--size" not in html
    assert "&lt;missing&gt;" in html
    show_next_steps(evaluation.next_steps)
    text = capsys.readouterr().out
    assert shell in text
    assert "maskrcnn.evaluate" not in text
    step, other = json.loads(json.dumps(evaluation.to_json()))["next"]
    assert (step["command"], step["python"], step["gain"]) == (shell, python, 2.0)
    assert (other["command"], other["python"], other["gain"]) == ("", "", None)


def test_what_is_expected_stands_beside_the_reason() -> None:
    assert LOOK.reason == "3 of 9. See `doctor`. Expected: AP50 up to +2.0."
    assert READ.reason == "0 of 9. Read on."
    assert by_gain([READ, LOOK]) == [LOOK, READ]
