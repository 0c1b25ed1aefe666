"""One run a place, tried with real processes: a second one is refused, and a dead one holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output import output_lock
from maskrcnn.output.output_lock import LOCK, claim_file, claim_folder

HOLD = """
import os, sys
from maskrcnn.output.output_lock import claim_file, claim_folder
with {claim}(sys.argv[1]):
    {more}
    print("held", flush=True)
    sys.stdin.read()
"""
Hold = Callable[..., subprocess.Popen]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """``hold(place, output_lock)``: a process that holds a place until its standard input ends."""
    started: list[subprocess.Popen] = []

    def start(place: Path, claim: str = "claim_folder", more: str = "") -> subprocess.Popen:
        words = [sys.executable, "-c", HOLD.format(claim=claim, more=more), str(place)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["claim_folder", "claim_file"])
def test_the_second_run_is_refused_and_a_dead_one_holds_nothing(tmp_path: Path, hold: Hold, name: str) -> None:
    place = tmp_path / "out.onnx"
    take = getattr(output_lock, name)
    holder = hold(place, name)
    for _ in range(2):
        with pytest.raises(MaskRCNNError, match=rf"out\.onnx: in use.*process {holder.pid} .*another place"):
            take(place).__enter__()
    holder.communicate("")
    assert holder.returncode == 0
    with take(place):
        pass
    holder = hold(place, name)
    holder.kill()
    holder.wait()
    with take(place) as notes:
        assert notes == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_place_has_one_lock_by_all_its_names(tmp_path: Path, hold: Hold) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    hold(tmp_path / "real")
    with pytest.raises(MaskRCNNError, match="in use"):
        claim_folder(tmp_path / "link").__enter__()
    (tmp_path / "name.onnx").symlink_to(tmp_path / "real" / "x.onnx")
    hold(tmp_path / "name.onnx", "claim_file")
    with pytest.raises(MaskRCNNError, match="in use"):
        claim_file(tmp_path / "link" / "x.onnx").__enter__()
    with claim_file(tmp_path / "real" / "y.onnx"):  # another file in a folder that is held
        pass


def test_two_in_one_process_are_two(tmp_path: Path) -> None:
    with claim_folder(tmp_path / "out"), pytest.raises(MaskRCNNError, match="in use"):
        claim_folder(tmp_path / "out").__enter__()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_children_of_a_dead_run_hold_nothing(tmp_path: Path) -> None:
    """The readers of a training run outlive it by seconds."""
    fork = "if os.fork() == 0: import time; print(os.getpid(), flush=True); time.sleep(60); os._exit(0)"
    fork += "\n    sys.stdin.read()"
    words = [sys.executable, "-c", HOLD.format(claim="claim_folder", more=fork), str(tmp_path / "out")]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    try:
        os.kill(child, 0)
        with claim_folder(tmp_path / "out"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_ends_leaves_the_claim(tmp_path: Path) -> None:
    with claim_folder(tmp_path / "out"):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(MaskRCNNError, match="in use"):
            claim_folder(tmp_path / "out").__enter__()


def test_many_at_once_are_one(tmp_path: Path) -> None:
    """Processes that take and leave a folder as fast as they can: at no moment two are in it."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from maskrcnn.errors import MaskRCNNError\n"
        "from maskrcnn.output.output_lock import claim_folder\n"
        "folder, end, taken = Path(sys.argv[1]), time.monotonic() + 1, 0\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        with claim_folder(folder):\n"
        "            (folder / 'inside').open('x').close()\n"
        "            taken += 1\n"
        "            (folder / 'inside').unlink()\n"
        "    except MaskRCNNError as error:\n"
        "        assert 'in use' in str(error), error\n"
        "print(taken)\n"
    )
    (tmp_path / "out").mkdir()
    words = [sys.executable, "-c", script, str(tmp_path / "out")]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ends = [process.communicate() for process in processes]
    assert all(process.returncode == 0 for process in processes), ends
    assert sum(int(out) for out, _ in ends) > 10


def test_a_folder_that_is_made_and_stays_empty_goes_again(tmp_path: Path) -> None:
    with claim_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / LOCK).is_file()
    assert list(tmp_path.iterdir()) == []
    with claim_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "kept").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept"]


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(MaskRCNNError, match="cannot be written"):
        claim_folder(tmp_path / "out").__enter__()
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(output_lock.fcntl, "flock", refuse)
    with claim_folder(tmp_path / "out") as notes:
        assert [line for line in notes if "has no locks" in line] == notes != []
    assert list(tmp_path.iterdir()) == []


def test_it_takes_no_time(tmp_path: Path) -> None:
    start = time.perf_counter()
    for _ in range(100):
        with claim_folder(tmp_path):
            pass
    assert time.perf_counter() - start < 2
