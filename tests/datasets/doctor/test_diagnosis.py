"""Findings: their order, their text, and what readers report made into them."""

from __future__ import annotations

from maskrcnn.annotations.problem import Problem
from maskrcnn.datasets.doctor.diagnosis import found, from_problem, in_order, in_split


def test_errors_come_first_then_files_as_people_count() -> None:
    findings = [
        found("long-object", "a", "x"),
        found("duplicate-object", "img10", "x", 2),
        found("duplicate-object", "img9", "x", 11),
        found("duplicate-object", "img9", "x", 3),
        found("leak", "z", "x"),
        *in_split([found("leak", "a", "x")], "val"),
        *in_split([found("leak", "b", "x")], "train"),
        found("leak", "z", "x"),
    ]
    ordered = in_order(findings, ["train", "val"])
    assert [(f.check, f.split, f.file, f.annotation) for f in ordered] == [
        ("leak", "", "z", None),
        ("leak", "train", "b", None),
        ("leak", "val", "a", None),
        ("duplicate-object", "", "img9", 3),
        ("duplicate-object", "", "img9", 11),
        ("duplicate-object", "", "img10", 2),
        ("long-object", "", "a", None),
    ]
    assert in_order(reversed(findings), ["train", "val"]) == ordered


def test_a_readers_problem_keeps_its_place_and_advice() -> None:
    finding = from_problem(
        Problem("zero-area", "some, file.json", "no area", "mend it", "warning", 0, 1, annotation=12)
    )
    assert (finding.file, finding.annotation) == ("some, file.json", 12)
    assert (finding.severity, finding.fix, finding.fixable) == ("error", "mend it", True)
    assert str(finding) == "some, file.json, annotation 12: no area"
    finding = from_problem(Problem("of-tomorrow", "a.json", "something", "", "note"))
    assert (finding.check, finding.severity, finding.annotation, finding.fixable) == (
        "of-tomorrow",
        "note",
        None,
        False,
    )


def test_a_finding_has_a_largest_length() -> None:
    finding = found("class-too-rare", "a.json", f"class {'x' * 100_000} has 1 object")
    assert len(str(finding)) < 1200
    assert finding.what.endswith("has 1 object")
