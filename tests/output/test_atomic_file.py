"""Files appear whole, with the umask's rights, or not at all; what was there before stays until then."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import make_folder, replacing, try_out, write_bytes, write_text


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == tmp_path
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    "stop", [RuntimeError(), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path, stop: BaseException) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail(part: Path) -> None:
        part.write_text("half")
        raise stop

    with pytest.raises((RuntimeError, KeyboardInterrupt, MaskRCNNError)), replacing(path) as part:
        fail(part)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # the last to end; whole


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_rights_are_the_umasks_whatever_a_library_does(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "own") as part:
            own = tmp_path / "library"
            own.touch(0o600)
            own.chmod(0o600)
            own.replace(part)
        write_text(tmp_path / "text", "x")
        assert mode(tmp_path / "own") == mode(tmp_path / "text") == 0o666 & ~umask
    finally:
        os.umask(before)


def test_links_stay_and_devices_are_written_directly(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a.txt")
    write_text(tmp_path / "link", "through")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "a.txt").read_text() == "through"
    (tmp_path / "null").symlink_to(os.devnull)
    write_bytes(tmp_path / "null", b"gone")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(MaskRCNNError, match=r"full: cannot write: No space left.*free some space"):
        write_bytes(tmp_path / "full", b"x" * 100_000)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_places_of_the_wrong_kind_are_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path, what in (
        (tmp_path, "found a folder"),
        (tmp_path / "file" / "a.json", "expected an output folder, found a file|Not a directory"),
        (tmp_path / "file" / "deep" / "a.json", "file is a file|Not a directory"),
        (tmp_path / ("x" * 300), "File name too long.*shorter name"),
        (tmp_path / ("x" * 300) / "a.json", "File name too long.*shorter name"),
    ):
        with pytest.raises(MaskRCNNError, match=what):
            try_out(path)
        if len(path.parent.name) < 256 and path.parent.is_dir():
            with pytest.raises(MaskRCNNError, match=what), replacing(path):
                pytest.fail("the work was begun")
    assert (tmp_path / "file").read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_folders_above_are_made_and_nothing_is_left_of_a_trial(tmp_path: Path) -> None:
    try_out(tmp_path / "no" / "where" / "a.json")
    assert list((tmp_path / "no" / "where").iterdir()) == []
    assert make_folder(tmp_path / "no" / "new") == [tmp_path / "no" / "new"]


def test_what_utf8_lacks_is_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", '{"file": "caf\udce9.png"}')
    assert (tmp_path / "a.json").read_bytes() == rb'{"file": "caf\udce9.png"}'


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to become somebody else")
def test_what_is_protected_is_refused() -> None:
    """As a user who may write neither into the folder nor to the file."""
    script = (
        "import os, sys\n"
        "from maskrcnn.errors import MaskRCNNError\n"
        "from maskrcnn.output.atomic_file import try_out, write_text\n"
        "from pathlib import Path\n"
        "os.setuid(65534)\n"
        "for path in sys.argv[1:]:\n"
        "    for tried in (try_out, lambda path: write_text(path, 'x')):\n"
        "        try: tried(Path(path))\n"
        "        except MaskRCNNError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        kept = folder / "open" / "kept.txt"
        kept.write_text("kept")
        words = [sys.executable, "-c", script, str(folder / "a.txt"), str(kept)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert kept.read_text() == "kept"
    assert done.stdout.count("choose a place where you may write") == 4, done
    assert done.stdout.count("write-protected") == 2
