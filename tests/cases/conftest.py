"""Small real files, a folder a fault, outside this repository: test_NAME gets the folder NAME."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Path:
    """The folder that the test is named after; the test is skipped without it, except in CI."""
    name = getattr(request.node, "originalname", request.node.name).removeprefix("test_")
    if not CASES.is_dir() and not os.environ.get("CI"):
        pytest.skip("needs the shared cases")
    folder = CASES / name
    assert folder.is_dir(), f"no folder {folder}"
    return folder
