"""The marker of a data set that is being written: a file in its folder, created first and removed last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskrcnn.output.atomic_file import cannot_write, write_text
from maskrcnn.output.output_lock import LOCK

MARK = "UNFINISHED"
_FIRST = "maskrcnn has not finished writing this data set."
_ADVICE = "Some of its images and labels are missing. Run the same command again, or delete the folder."
_OURS = "The folder was empty before: writing into it again replaces all that it holds."
_ABOVE = 2  # parents to search: train/images lies two below its data set


@contextmanager
def unfinished_while(folder: Path) -> Iterator[None]:
    """Mark a folder as unfinished; the mark is removed if the block ends without an error.

    Left-overs of an unfinished run are removed first, if that run started with an empty folder.

    Raises:
        MaskRCNNError: the folder cannot be written to.
    """
    try:
        if _is_ours(folder):
            for path in _contents(folder):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        ours = "" if any(_contents(folder)) else f"{_OURS}\n"
        write_text(folder / MARK, f"{_FIRST}\n{_ADVICE}\n{ours}")
        yield
        (folder / MARK).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(error, folder) from error


def is_free(folder: Path) -> bool:
    """Whether a new data set may be written: the folder is missing, empty, or holds only an unfinished run's files.

    Raises:
        MaskRCNNError: there cannot be a folder of that name, or it cannot be read.
    """
    try:
        return not folder.exists() or (folder.is_dir() and (_is_ours(folder) or not any(_contents(folder))))
    except OSError as error:
        raise cannot_write(error, folder) from error


def unfinished_folder(path: Path) -> Path | None:
    """The data set that a folder or label file belongs to, if it is unfinished."""
    folder = path if path.is_dir() else path.parent
    return next((place for place in [folder, *folder.resolve().parents][: _ABOVE + 1] if _mark(place)), None)


def _contents(folder: Path) -> list[Path]:
    """The content of a folder, the mark last, so that it is deleted last."""
    return sorted((path for path in folder.iterdir() if path.name != LOCK), key=lambda path: path.name == MARK)


def _is_ours(folder: Path) -> bool:
    return _OURS in _mark(folder)


def _mark(folder: Path) -> list[str]:
    """The lines of a folder's mark; none if it has no mark of ours."""
    try:
        with (folder / MARK).open(encoding="utf-8") as file:
            lines = file.read(1000).splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return lines if lines[:1] == [_FIRST] else []
