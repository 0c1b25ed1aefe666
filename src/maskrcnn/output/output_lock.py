"""Locks on outputs: a run claims its output folder or file while it writes, and a second run is refused.

A claim is a lock of the operating system on a small file. It ends with the process that holds it, however that dies.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import cannot_write, make_folder, try_out

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = ".maskrcnn.lock"
_TAKEN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
_BEYOND = 2**30  # Windows forbids reading locked bytes: this one lies behind the text
_held: set[int] = set()


@contextmanager
def claim_folder(folder: str | Path, what: str = "cannot be written") -> Iterator[list[str]]:
    """Claim an output folder. It is made if missing, and removed again if it stays empty.

    Args:
        what: how an error begins.

    Yields:
        Lines for the user: one if the file system has no locks.

    Raises:
        MaskRCNNError: another run writes there, or nothing can be written.
    """
    folder = Path(folder)
    made = make_folder(folder, what)
    try:
        with _locked(folder / LOCK, folder, what) as notes:
            yield notes
    finally:
        with contextlib.suppress(OSError):
            for place in made:
                place.rmdir()


@contextmanager
def claim_file(path: str | Path) -> Iterator[list[str]]:
    """As `claim_folder` for one output file, after a trial that it can be written; missing parents are made."""
    path = Path(path)
    try_out(path)
    if path.exists() and not path.is_file():  # a device or a pipe
        yield []
        return
    target = Path(os.path.realpath(path))
    # Of fixed length: a longer name than the file's might not be allowed.
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    with _locked(target.with_name(f".{name}.lock"), path, "cannot write") as notes:
        yield notes


@contextmanager
def _locked(lock: Path, place: Path, what: str) -> Iterator[list[str]]:
    """Hold a lock file."""
    try:
        descriptor, locked = _open_and_lock(lock, place)
    except OSError as error:
        raise cannot_write(error, place, what) from error
    _held.add(descriptor)
    try:
        _sign(descriptor, place)
        yield [] if locked else [f"{place}: this file system has no locks: no other run should write there now"]
    finally:
        if descriptor in _held:  # not in a child process that has left it
            _held.discard(descriptor)
            if sys.platform != "win32":  # while it is locked: nobody can claim a file about to be removed
                _remove(lock)
            os.close(descriptor)
            if sys.platform == "win32":
                _remove(lock)


def _open_and_lock(lock: Path, place: Path) -> tuple[int, bool]:
    """Open and lock the file; whether the file system has locks."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    while True:
        try:
            descriptor = os.open(lock, flags, 0o666)
        except FileNotFoundError:
            lock.parent.mkdir(parents=True, exist_ok=True)  # its holder has removed the folder meanwhile
            continue
        except PermissionError:
            if not lock.exists():
                raise
            descriptor = os.open(lock, os.O_RDONLY)  # left by another user's run
        try:
            locked = _lock(descriptor)
        except BlockingIOError:
            who = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            found = f"in use: another run writes there ({who or 'it has just started'})"
            raise MaskRCNNError(found, where=place, fix="wait until it ends, or choose another place") from None
        if not locked or _is_there(lock, descriptor):
            return descriptor, locked
        os.close(descriptor)  # its holder has removed the file meanwhile


def _lock(descriptor: int) -> bool:
    """Lock an open file; False where the file system cannot. Raises `BlockingIOError` if another process holds it."""
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _BEYOND, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        if error.errno in _TAKEN:
            raise BlockingIOError from None
        return False
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)


def _sign(descriptor: int, place: Path) -> None:
    """Write into a lock file who holds it."""
    who = f"process {os.getpid()} on {platform.node()} since {datetime.now().isoformat(' ', 'seconds')}\n"
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, who.encode())
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL):  # another user's file, which is locked all the same
            raise cannot_write(error, place) from error


def _is_there(lock: Path, descriptor: int) -> bool:
    """Whether the open file still has its name."""
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(lock: Path) -> None:
    with contextlib.suppress(OSError):
        lock.unlink()


def _leave() -> None:
    """In a child process: a copy of an open file would keep the lock when the process that took it is dead."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)
