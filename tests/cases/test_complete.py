"""Each folder of the shared cases has its test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CASES = HERE.parents[1].parent / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the shared cases")
def test_each_folder_has_one_test() -> None:
    named = [
        node.name.removeprefix("test_")
        for file in HERE.glob("test_*.py")
        if file != Path(__file__).resolve()
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert sorted(named) == sorted(folder.name for folder in CASES.iterdir() if folder.is_dir())
