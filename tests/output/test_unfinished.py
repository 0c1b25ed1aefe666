"""A data set that was not written to its end says so, and the next run puts a whole one in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.output_lock import claim_folder
from maskrcnn.output.unfinished import MARK, is_free, unfinished_folder, unfinished_while


def stop_in(folder: Path) -> None:
    """A run that ends in the middle."""
    (folder / "images").mkdir()
    (folder / "images" / "half.png").write_text("half")
    raise KeyboardInterrupt


def test_the_mark_is_there_while_it_is_written_and_after_a_stop(tmp_path: Path) -> None:
    with claim_folder(tmp_path), unfinished_while(tmp_path):
        assert unfinished_folder(tmp_path) == tmp_path
    assert unfinished_folder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), unfinished_while(tmp_path):
        stop_in(tmp_path)
    for path in (tmp_path, tmp_path / "train.json", tmp_path / "images", tmp_path / "images" / "half.png"):
        found = unfinished_folder(path)
        assert found is not None
        assert found.resolve() == tmp_path.resolve()


def test_what_was_left_is_replaced_by_the_next_run(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), unfinished_while(tmp_path):
        stop_in(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path.parent)
    assert is_free(tmp_path)
    with unfinished_while(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [MARK]
        (tmp_path / "new.txt").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["new.txt"]
    assert tmp_path.parent.is_dir()


def test_files_of_others_are_never_removed(tmp_path: Path) -> None:
    """A folder that held files when a run was forced to write into it."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt), unfinished_while(tmp_path):
        stop_in(tmp_path)
    assert unfinished_folder(tmp_path) is not None
    assert not is_free(tmp_path)
    with unfinished_while(tmp_path):
        assert (tmp_path / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "mine.txt"]


def test_a_file_of_that_name_by_somebody_else_means_nothing(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("chapters 3 and 4")
    assert unfinished_folder(tmp_path) is None
    assert not is_free(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / MARK).mkdir()
    with pytest.raises(MaskRCNNError, match="found a folder"), unfinished_while(tmp_path):
        pytest.fail("the work was begun")
