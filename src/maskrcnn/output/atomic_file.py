"""Atomic files: written under a temporary name beside the target, which they replace when they are complete."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskrcnn.errors import MaskRCNNError

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_FIXES = {
    **dict.fromkeys(_FULL, "free some space there, or write elsewhere"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a place where you may write"),
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or write less",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def cannot_write(error: OSError, place: Path, what: str = "cannot write") -> MaskRCNNError:
    """The error for an `OSError` at a path."""
    reason = error.strerror or str(error)
    return MaskRCNNError(f"{what}: {reason}", where=place, fix=_FIXES.get(error.errno or 0, "choose another place"))


@contextmanager
def replacing(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """A temporary file to write, which replaces `path` when the block ends and is deleted if the block fails.

        with replacing(path) as part:
            picture.save(part, format="PNG")

    The new file gets the permissions of the umask. A link stays a link; devices and pipes are written directly.

    Args:
        path: the file; its folder exists.
        durable: return only when the file is on the disk (fsync).

    Raises:
        MaskRCNNError: it cannot be written, on entering where that can be known; also for an `OSError` of the block.
    """
    path = Path(path)
    try:
        target = _target(path)
        if target is None:
            yield path
            return
        part = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with part.open("xb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            yield part
            # A library may have replaced the file, with other permissions.
            if stat.S_IMODE(part.stat().st_mode) != mode:
                part.chmod(mode)
            if durable:
                sync(part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(error, path) from error


def write_text(path: str | Path, text: str, durable: bool = False) -> None:
    """Write a text file atomically as UTF-8, line ends unchanged; lone surrogates are escaped as in JSON: \\udce4.

    Raises:
        MaskRCNNError: see `replacing`.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable)


def write_bytes(path: str | Path, content: bytes, durable: bool = False) -> None:
    """Write a file atomically. Raises `MaskRCNNError` as `replacing`."""
    with replacing(path, durable) as part:
        part.write_bytes(content)


def make_folder(folder: Path, what: str = "cannot be written") -> list[Path]:
    """Make a folder and its parents; returns those that were made, the deepest first.

    Args:
        what: how an error begins.

    Raises:
        MaskRCNNError: it cannot be made, or a file is in its place.
    """
    above = [folder, *folder.parents]
    try:
        if folder.exists() and not folder.is_dir():
            found = f"{what}: expected an output folder, found a file"
            raise MaskRCNNError(found, where=folder, fix="name another folder")
        made = [place for place in above if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        blocked = isinstance(error, FileExistsError | NotADirectoryError)
        file = next((place for place in above if blocked and place.is_file()), None)
        reason = OSError(errno.ENOTDIR, f"{file} is a file") if file else error
        raise cannot_write(reason, folder, what) from error
    return made


def try_out(path: Path) -> None:
    """Check before the work that a file can be written; makes missing parents. Raises `MaskRCNNError` if it cannot."""
    make_folder(path.parent)
    try:
        target = _target(path)
        if target is not None:
            part = target.with_name(f".{secrets.token_hex(8)}.part")
            # Not empty: on a full disk a file can be created but not filled.
            try:
                part.write_bytes(b"\n")
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(error, path) from error


def free_name(folder: Path, name: str) -> str:
    """The name, or if the folder has a file of that name, the first of name-2, name-3, … (before its suffix)."""
    stem, suffix, number = Path(name).stem, Path(name).suffix, 1
    while (folder / name).exists():
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name


def check_name(path: Path) -> None:
    """Raise `MaskRCNNError` if a path cannot be a file: a folder is there, or the name is too long."""
    try:
        if path.is_dir():
            raise MaskRCNNError("expected a file name, found a folder", where=path, fix="name the file to write")
    except OSError as error:
        raise cannot_write(error, path) from error


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _target(path: Path) -> Path | None:
    """The file to replace, all links resolved; None for a device or a pipe."""
    check_name(path)
    target = Path(os.path.realpath(path))
    try:
        kind = target.stat().st_mode
    except FileNotFoundError:
        return target
    if not stat.S_ISREG(kind):
        return None
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "the file there is write-protected")
    return target
