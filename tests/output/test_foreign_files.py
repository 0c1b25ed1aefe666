"""Which files are an earlier run's, to be replaced, and which are another program's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import maskrcnn
from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.foreign_files import check_replaceable

NAMES, KEYS = ("a.json", "a.html"), ("one", "two")


@pytest.mark.parametrize("content", ["{}", '{"one": 1}', '["one", "two"]', "", "\0\xff"])
def test_a_record_of_other_keys_is_not_ours(content: str, tmp_path: Path) -> None:
    check_replaceable(tmp_path, NAMES, KEYS)
    check_replaceable(tmp_path / "absent", NAMES, KEYS)
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(MaskRCNNError, match=r"a\.json: not overwritten: not written by maskrcnn.*another"):
        check_replaceable(tmp_path, NAMES, KEYS)


def test_a_page_without_our_record_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>mine</p>")
    with pytest.raises(MaskRCNNError, match=r"a\.html: not overwritten"):
        check_replaceable(tmp_path, NAMES, KEYS)
    (tmp_path / "a.json").write_text(json.dumps({"two": 2, "one": 1, "more": "x" * 2**17}, indent=2))
    check_replaceable(tmp_path, NAMES, KEYS)


def test_verbs_replace_their_own_files_alone(shapes: Path, tmp_path: Path) -> None:
    for name in ("metrics.json", "report.html"):
        (tmp_path / name).write_text("{}")
        with pytest.raises(MaskRCNNError, match=rf"{name}: not overwritten"):
            maskrcnn.evaluate("people", shapes, folder=tmp_path)
        (tmp_path / name).unlink()
    (tmp_path / "recipe.yaml").write_text("init: none\n")
    with pytest.raises(MaskRCNNError, match=r"recipe\.yaml: not overwritten"):
        maskrcnn.dataset_stats(shapes, tmp_path)
    assert (tmp_path / "recipe.yaml").read_text() == "init: none\n"
    (tmp_path / "recipe.yaml").unlink()
    for _ in range(2):
        assert len(maskrcnn.dataset_stats(shapes, tmp_path).files) == 4
