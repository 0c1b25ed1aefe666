"""Where verbs show their progress: nowhere, in lines, or in the one output of a cell."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.verbs import display, notebook_display
from maskrcnn.verbs.display import QuietDisplay, in_notebook, shown_on

LOSSES = {"objectness": 0.5, "rpn_box": 0.1, "classification": 0.4, "box": 0.3, "mask": 0.7}


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a kernel was asked to show, in place of IPython: each update of the output of a cell."""
    shown: list[str] = []
    module, outputs = ModuleType("IPython"), ModuleType("IPython.display")

    def show(content: str, display_id: bool = False) -> Any:
        shown.append(content)
        return SimpleNamespace(update=shown.append)

    module.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    outputs.HTML, outputs.display = str, show  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", outputs)
    monkeypatch.setattr(notebook_display, "UPDATE_EVERY_S", 0.0)
    monkeypatch.setattr(notebook_display, "PAUSE", 0)
    return shown


def test_without_a_notebook_nothing_is_shown_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()
    with shown_on(None) as shown:
        assert isinstance(shown, QuietDisplay)
    with shown_on(True) as shown, shown.bar("measure", 2) as advance:
        shown.say("one\x1bline")
        shown.note("take care")
        advance()
        shown.step(0.5, LOSSES, 3.0, 61.0)
        shown.step(1.0, LOSSES, 3.0, 0.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["one\\x1bline", "note: take care", "measure: 1 of 2"]
    assert lines[3].startswith("100.0%  loss 2.000 (objectness 0.500")  # the other came too soon
    assert len(lines) == 4
    own = QuietDisplay()
    with shown_on(own) as shown:
        assert shown is own


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("IPython")
    module.get_ipython = lambda: SimpleNamespace()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert not display.in_notebook()


def test_a_notebook_shows_curves_in_one_output(cell: list[str], capsys: pytest.CaptureFixture) -> None:
    with shown_on(None) as shown:
        for share in (0.1, 0.2, 0.5):
            shown.step(share, LOSSES, 3.0, 61.0)
        shown.evaluating(1, 4)
        assert "evaluating: 1 of 4 images" in cell[-1]
        shown.evaluated(Evaluation({"mask_AP": 31.0, "box_AP": 40.0}, {}, 4, 100), best=True)
        shown.note("<script>")
    assert "1:01 left" in cell[-1]
    assert "mask AP 31.0, box AP 40.0 (best so far)" in cell[-1]
    assert cell[-1].count("<polyline") == 8
    assert "&lt;script&gt;" in cell[-1]
    assert capsys.readouterr().out == ""


def test_what_a_run_said_stays_beside_its_curves(cell: list[str]) -> None:
    """However quickly the lines came; the last line of other verbs is gone at the end."""
    with shown_on(None) as shown:
        shown.say("init auto: <nuclei>")
        shown.say("step 1 has started")
        assert "init auto" not in cell[-1]
        shown.step(0.1, LOSSES, 3.0, 61.0)
        assert "<li>init auto: &lt;nuclei&gt;</li><li>step 1 has started</li>" in cell[-1]
        shown.say("a step takes about 2 s")
        assert "1:01 left</div>" in cell[-1]
    assert cell[-1].count("<li>") == 3


def test_drawing_takes_a_twentieth_of_the_time_however_long_the_run(
    cell: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0

    def html(self: notebook_display.NotebookDisplay) -> str:
        nonlocal now
        now += 0.5
        return ""

    monkeypatch.setattr(notebook_display, "PAUSE", 20)
    monkeypatch.setattr(notebook_display, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(notebook_display.NotebookDisplay, "html", html)
    with shown_on(None) as shown:
        for _ in range(1000):
            shown.step(0.1, LOSSES, 3.0, 61.0)
            now += 0.1
        assert 9 <= len(cell) <= 11  # of 100 s


def test_a_bar_is_gone_at_its_end_and_its_notes_stay(cell: list[str]) -> None:
    with shown_on(None) as shown:
        with shown.bar("evaluate", 4) as advance:
            advance()
            assert "evaluate: 1 of 4" in cell[-1]
        shown.say("2 objects in a.png")
        assert "2 objects in a.png" in cell[-1]
        shown.note("1 image cannot be read")
    assert "evaluate" not in cell[-1]
    assert "objects" not in cell[-1]
    assert "1 image cannot be read" in cell[-1]


def test_false_shows_nothing_in_a_notebook(cell: list[str]) -> None:
    with shown_on(False) as shown, shown.bar("evaluate", 1) as advance:
        advance()
    assert cell == []
