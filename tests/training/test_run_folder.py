"""What an earlier run left in a folder is neither overwritten nor lost, and a full disk is found early."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.preparation import PreparedRun
from maskrcnn.training.run_folder import check_free, keep_earlier_weights


def test_no_earlier_weights_are_lost(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "last.safetensors").write_text(str(number))
        keep_earlier_weights(tmp_path)
    kept = ("last.earlier", "last.earlier-2", "last.earlier-3")
    assert [(tmp_path / f"{name}.safetensors").read_text() for name in kept] == ["0", "1", "2"]


def test_labels_called_as_a_file_of_a_run_are_kept(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    with pytest.raises(MaskRCNNError, match=r"a file that one would replace: data\.json.*another output folder"):
        check_free(tmp_path)
    (tmp_path / "log.txt").touch()
    check_free(tmp_path)
    assert keep_earlier_weights(tmp_path) == []


def test_a_disk_without_room_for_a_state_is_found_before_the_first_step(
    shapes: Path,
    tmp_path: Path,
    prepared: Callable[..., tuple[PreparedRun, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(MaskRCNNError, match=r"expected \d+ MB of free space.*found 0 MB"):
        prepared(shapes, tmp_path / "run")
