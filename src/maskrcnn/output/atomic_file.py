"""Files that are written beside their place and take it when they are whole: what was there stays until then."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskrcnn.errors import MaskRCNNError

_FIXES = {
    errno.ENOSPC: "free some space there, or write elsewhere",
    getattr(errno, "EDQUOT", errno.ENOSPC): "free some space there, or write elsewhere",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or write less",
    errno.EACCES: "choose a place where you may write",
    errno.EPERM: "choose a place where you may write",
    errno.EROFS: "choose a place where you may write",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def cannot_write(error: OSError, place: Path, what: str = "cannot write") -> MaskRCNNError:
    """The error for what the system said about a place."""
    reason = error.strerror or str(error)
    return MaskRCNNError(f"{what}: {reason}", where=place, fix=_FIXES.get(error.errno or 0, "choose another place"))


@contextmanager
def replacing(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """A file to write instead of `path`, which it replaces when the block ends; if the block fails it goes.

        with replacing(path) as part:
            picture.save(part, format="PNG")

    The new file has the rights that the umask gives. A link stays a link; a device or a pipe is written directly.

    Args:
        path: the file; its folder exists.
        durable: return only when the disk has it.

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
            # A library may have put a file of its own there, with rights of its own.
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
    """Write a text file, whole, as UTF-8 with line ends as they are; what UTF-8 lacks is escaped as in JSON: \\udce4.

    Raises:
        MaskRCNNError: see `replacing`.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"), durable)


def write_bytes(path: str | Path, content: bytes, durable: bool = False) -> None:
    """Write a file, whole. Raises `MaskRCNNError` as `replacing`."""
    with replacing(path, durable) as part:
        part.write_bytes(content)


def make_folder(folder: Path, what: str = "cannot be written") -> list[Path]:
    """Make a folder and those above it; those that were made, the deepest first.

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
    """Find out whether a file can be written there, before the work; folders above it are made.

    Raises:
        MaskRCNNError: it cannot.
    """
    make_folder(path.parent)
    try:
        target = _target(path)
        if target is not None:
            part = target.with_name(f".{secrets.token_hex(8)}.part")
            # A byte: on a full disk a file can be made, and nothing be written to it.
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
    """Raises `MaskRCNNError` if a path can be no file's: a folder is there, or the name is too long."""
    try:
        if path.is_dir():
            raise MaskRCNNError("expected a file name, found a folder", where=path, fix="name the file to write")
    except OSError as error:
        raise cannot_write(error, path) from error


def sync(path: Path) -> None:
    """Wait until the disk has a file."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _target(path: Path) -> Path | None:
    """The file that a new one replaces, behind all links; None for a device or a pipe."""
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
