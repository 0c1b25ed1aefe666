"""A fixed thousand of the mutated files that `python -m fuzz.run` makes by the ten thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.run import good_files, run_cases
from fuzz.targets import TARGETS

CASES = -(-1000 // len(TARGETS))


@pytest.mark.parametrize("name", list(TARGETS))
def test_only_our_errors_come_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "whole").mkdir()
    assert good_files(TARGETS[name], tmp_path / "whole") >= TARGETS[name].whole
    found = run_cases(name, tmp_path, 1, range(CASES))
    assert not found.faults, "\n".join(f"case {number}: {fault}" for number, fault in found.faults)
    # Neither is everything refused nor does damage go unnoticed.
    assert found.counts["whole"] + found.counts["part"] > 0
    assert found.counts["refused"] + found.counts["part"] > 0
