"""The migration guides name settings that exist, and their code is code."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from maskrcnn.config import Config, Preprocess
from maskrcnn.training.recipe import Recipe

GUIDES = sorted((Path(__file__).resolve().parents[2] / "docs" / "migrate").glob("*.md"))
SETTINGS = {
    *(field.name for field in dataclasses.fields(Config)),
    *(f"preprocess.{field.name}" for field in dataclasses.fields(Preprocess)),
    *Recipe.model_fields,
}


def test_there_is_one_for_each_library() -> None:
    assert [guide.stem for guide in GUIDES] == ["detectron2", "matterport", "mmdetection", "torchvision"]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_settings_named_in_a_guide_exist(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    rows = [row.split("|") for row in text.splitlines() if row.count("|") == 4 and not row.startswith("|---")]
    named = {name for row in rows for name in re.findall(r"`([\w.]+)`", row[2])}
    assert len(named) >= 10
    assert named <= SETTINGS


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_code_in_a_guide_is_code(guide: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        ast.parse(block)
        assert "# maskrcnn\n" in block
