"""A problem: fields for programs, one line for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn.annotations.problem import DataError, Problem, unreadable
from maskrcnn.errors import MaskRCNNError


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"file": "a.json"}, "a.json: boxes only"),
        ({"file": "a.json", "annotation": 7}, "a.json, annotation 7: boxes only"),
        ({"file": "a.json", "annotation": 7, "entry": "annotation x7"}, "a.json, annotation x7: boxes only"),
        ({"file": "a, b.txt", "entry": "line 3"}, "a, b.txt, line 3: boxes only"),
        ({"file": ""}, "boxes only"),
        ({"file": "a.json", "objects_lost": 1}, "a.json: dropped, boxes only"),
        ({"file": "a.json", "images_lost": 1, "fix": "draw masks"}, "a.json: dropped, boxes only (draw masks)"),
        ({"file": "a.json", "split": "val", "severity": "note"}, "a.json: boxes only"),
    ],
)
def test_a_problem_is_one_line(fields: dict, line: str) -> None:
    assert str(Problem("no-mask", what="boxes only", **fields)) == line


def test_an_error_of_a_reader_becomes_a_problem_with_its_place() -> None:
    error = DataError("zero-area", "it is flat", fix="remove it")
    problem = error.problem(Path("labels/a.txt"), 0, 1, entry="line 4")
    assert problem == Problem("zero-area", "labels/a.txt", "it is flat", "remove it", "error", 0, 1, None, "line 4")
    assert error.problem("a.json", 0, 1, 7).annotation == 7
    assert problem.lossy
    assert not Problem("no-mask", "a.json", "boxes only").lossy


def test_an_unreadable_image_is_lost_to_the_file_that_its_error_names() -> None:
    problem = unreadable(MaskRCNNError("it is cut off", where=Path("a.png"), fix="copy it again"), "unreadable-image")
    assert (problem.file, problem.images_lost, problem.fix) == ("a.png", 1, "copy it again")
    assert str(problem) == "a.png: dropped, it is cut off (copy it again)"


def test_text_of_any_length_is_shortened_and_the_file_stays_usable() -> None:
    file = "x" * 5000
    problem = Problem("no-mask", file, "y" * 5000, "z" * 5000, entry="e" * 5000)
    assert problem.file == file
    assert len(problem.what) < 1010
    assert len(str(problem)) < 4100
