"""Problems: their order, their text, and what readers report made into them."""

from __future__ import annotations

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.checks import catalogued, problem_of
from maskrcnn.datasets.doctor.diagnosis import in_order


def test_errors_come_first_then_files_as_people_count() -> None:
    problems = [
        problem_of("long-object", "a", "x"),
        problem_of("duplicate-object", "img10", "x", 2),
        problem_of("duplicate-object", "img9", "x", 11),
        problem_of("duplicate-object", "img9", "x", 3),
        problem_of("leak", "z", "x"),
        problem_of("leak", "a", "x", split="val"),
        problem_of("leak", "b", "x", split="train"),
        problem_of("leak", "z", "x"),
    ]
    ordered = in_order(problems, ["train", "val"])
    assert [(f.check, f.split, f.file, f.annotation) for f in ordered] == [
        ("leak", "", "z", None),
        ("leak", "train", "b", None),
        ("leak", "val", "a", None),
        ("duplicate-object", "", "img9", 3),
        ("duplicate-object", "", "img9", 11),
        ("duplicate-object", "", "img10", 2),
        ("long-object", "", "a", None),
    ]
    assert in_order(reversed(problems), ["train", "val"]) == ordered


def test_a_readers_problem_keeps_its_place_and_advice() -> None:
    problem = catalogued(Problem("zero-area", "some, file.json", "no area", "mend it", "warning", 0, 1, annotation=12))
    assert (problem.file, problem.annotation) == ("some, file.json", 12)
    assert (problem.severity, problem.fix, problem.fixable) == ("error", "mend it", True)
    assert f"{problem.where}: {problem.what}" == "some, file.json, annotation 12: no area"
    problem = catalogued(Problem("of-tomorrow", "a.json", "something", "", "note"))
    assert (problem.check, problem.severity, problem.annotation, problem.fixable) == (
        "of-tomorrow",
        "note",
        None,
        False,
    )


def test_a_problem_has_a_largest_length() -> None:
    problem = problem_of("class-too-rare", "a.json", f"class {'x' * 100_000} has 1 object")
    assert len(str(problem)) < 1200
    assert problem.what.endswith("has 1 object")
