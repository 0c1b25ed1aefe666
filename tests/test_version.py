"""The version is written in one place, and the changelog knows it."""

from __future__ import annotations

import re
from pathlib import Path

import maskrcnn
from maskrcnn.version import VERSION

CHANGELOG = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")


def headings() -> list[str]:
    return re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)


def test_the_version_has_its_section_or_is_not_released() -> None:
    first, *released = headings()
    assert first == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", heading) for heading in released)
    versions = [heading.partition(" ")[0] for heading in released]
    if VERSION.endswith(".dev0"):
        assert VERSION.removesuffix(".dev0") not in versions, "released already: the next version is due"
    else:
        assert versions[0] == VERSION
    order = [tuple(map(int, version.split("."))) for version in versions]
    assert order == sorted(order, reverse=True)


def test_the_package_says_it() -> None:
    assert maskrcnn.__version__ == VERSION
