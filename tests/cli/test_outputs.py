"""What verbs do with the place they write to: in use, left by a killed run, of the wrong kind, on a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.output.output_lock import claim_file, claim_folder
from maskrcnn.output.unfinished import MARK
from tests.command import run

unix = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs to stop a process for a while")
TINY = {
    "backbone": "timm:test_convnext", "fpn_channels": 32, "box_hidden": [32], "mask_convs": [32], "roi_samples": 32,
    "rpn_before_nms": [100, 100], "proposals": [100, 100], "max_detections": 10,
    "preprocess": {"short": [64, 64], "long": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}  # fmt: skip
QUICK = ["--set", f"model={json.dumps(TINY)}", "--workers", "0", "--device", "cpu", "--precision", "fp32"]
QUICK += ["--canvas", "64", "--batch-size", "2", "--evaluations", "0"]


def start(*words: object) -> subprocess.Popen:
    """`maskrcnn words…` as a process of its own."""
    command = [sys.executable, "-m", "maskrcnn", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(folder: Path, pattern: str, process: subprocess.Popen) -> None:
    """Until a file is there that a run writes early."""
    end = time.monotonic() + 120
    while not any(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((40, 50, 3), 80 * number, dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@unix
def test_two_predictions_into_one_folder(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = start("predict", photos, "--out", out)
    wait_for(out, "*.part.json", first)
    os.kill(first.pid, signal.SIGSTOP)
    code, said = run("predict", photos, "--out", out)
    os.kill(first.pid, signal.SIGCONT)
    assert code == 2, said
    assert f"{out}: in use" in said
    assert "choose another" in said
    output, _ = first.communicate(timeout=120)
    assert first.returncode == 0, output
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png", "2.png", "predictions.json"]
    json.loads((out / "predictions.json").read_text())


@unix
def test_a_killed_prediction_holds_nothing(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = start("predict", photos, "--out", out)
    wait_for(out, "*.part.json", first)
    first.kill()
    first.communicate()
    code, said = run("predict", photos, "--out", out)
    assert code == 0, said
    json.loads((out / "predictions.json").read_text())


@unix
def test_a_run_of_training_has_its_folder_alone(shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = start("train", shapes, "--out", out, *QUICK, "--epochs", "100000")
    wait_for(out, "history.csv", first)
    os.kill(first.pid, signal.SIGSTOP)
    before = sorted(path.name for path in out.iterdir())
    for words in ((shapes, "--out", out, *QUICK, "--epochs", "1"), ("--resume", out)):
        code, said = run("train", *words)
        assert code == 2, said
        assert f"{out}: in use" in said
    assert sorted(path.name for path in out.iterdir()) == before
    first.kill()
    first.communicate()
    code, said = run("train", shapes, "--out", out, *QUICK, "--epochs", "1")
    assert code == 0, said
    assert (out / "last.safetensors").stat().st_mode & 0o777 == (out / "log.txt").stat().st_mode & 0o777


# Each verb that writes: its words with DATA, PHOTOS and OUT, and whether OUT is a folder.
VERBS = {
    "predict": ("predict PHOTOS --out OUT", True),
    "demo": ("demo --out OUT", True),
    "train": ("train DATA --out OUT", True),
    "overfit": ("train DATA --overfit 1 --out OUT", True),
    "evaluate": ("evaluate DATA --model nuclei --out OUT", True),
    "evaluate-json": ("evaluate DATA --model nuclei --out REPORT --json OUT", False),
    "doctor-fix": ("doctor DATA --fix OUT", True),
    "doctor-json": ("doctor DATA --json OUT", False),
    "split": ("dataset split DATA OUT --merge", True),
    "convert": ("dataset convert DATA OUT --format yolo", True),
    "stats": ("dataset stats DATA --out OUT", True),
    "view": ("dataset view DATA --out OUT", False),
    "weights": ("convert nuclei OUT", False),
    "export": ("export nuclei --format torch --out OUT", False),
    "benchmark-json": ("benchmark PHOTOS --json OUT", False),
}
SUFFIXES = {"view": ".png", "weights": ".safetensors", "export": ".pt2"}


def words_of(verb: str, data: Path, photos: Path, out: Path) -> list[object]:
    places = {"DATA": data, "PHOTOS": photos, "OUT": out, "REPORT": out.parent / "report"}
    return [places.get(word, word) for word in VERBS[verb][0].split()]


@pytest.mark.parametrize("verb", VERBS)
def test_a_place_in_use_is_refused(verb: str, shapes: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / f"new/out{SUFFIXES.get(verb, '')}"
    with (claim_folder if VERBS[verb][1] else claim_file)(out):
        before = sorted(tmp_path.rglob("*"))
        code, said = run(*words_of(verb, shapes, photos, out))
        assert code == 2, said
        assert f"{out}: in use" in said
        assert "another place" in said
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_place_of_the_wrong_kind_is_found_before_the_work(
    verb: str, shapes: Path, photos: Path, tmp_path: Path
) -> None:
    suffix = SUFFIXES.get(verb, "")
    (tmp_path / "file").write_text("mine")
    (tmp_path / f"folder{suffix}").mkdir()
    wrong = tmp_path / ("file" if VERBS[verb][1] else f"folder{suffix}")
    for out in (wrong, tmp_path / "file" / f"below{suffix}", tmp_path / ("x" * 300 + suffix)):
        before = sorted(tmp_path.rglob("*"))
        code, said = run(*words_of(verb, shapes, photos, out))
        assert code == 2, said
        assert str(tmp_path) in said
        assert "images with" not in said  # nothing was examined
        assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_folders_above_a_json_file_are_made(shapes: Path, tmp_path: Path) -> None:
    code, said = run("doctor", shapes, "--json", tmp_path / "no" / "dir" / "found.json")
    assert code == 1, said
    assert json.loads((tmp_path / "no" / "dir" / "found.json").read_text())["data"] == str(shapes)


@unix
@pytest.mark.parametrize(
    ("words", "made", "examined", "written", "whole"),
    [
        ("dataset convert DATA OUT --format yolo", "images/train/*.png", 1, 0, 1),  # val repeats train, as in DATA
        ("dataset split DATA OUT --merge", "*/*.png", 2, 0, 0),  # without its label file it is no data set yet
        ("doctor DATA --fix OUT", "train/*.png", 2, 1, 1),
    ],
)
def test_a_data_set_that_was_not_written_to_its_end(
    shapes: Path, tmp_path: Path, words: str, made: str, examined: int, written: int, whole: int
) -> None:
    """The run is killed after its first image; then the folder is examined, written again, and examined again.

    The numbers are the exit codes of the last three.
    """
    out = tmp_path / "out"
    chosen = [{"DATA": shapes, "OUT": out}.get(word, word) for word in words.split()]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, chosen)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    assert len(list(out.glob(made))) == 1
    assert "not finished" in (out / MARK).read_text()
    for words, expected in (
        (("doctor", out), examined),
        (("train", out, "--out", tmp_path / "run"), 2),
        (("dataset", "view", out, "--out", "x.png"), 2),
    ):
        code, said = run(*words)
        assert code == expected, said
        assert "unfinished" in said
        assert "run it again" in said
    code, said = run(*chosen)
    assert code == written, said
    assert "unfinished" not in said
    assert not (out / MARK).exists()
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]
    code, said = run("doctor", out)
    assert code == whole, said
    assert "unfinished" not in said


KILLED = """
import os, shutil, signal, sys
copied, copyfile = [], shutil.copyfile
def second_is_the_last(source, target):
    if copied:
        os.kill(os.getpid(), signal.SIGKILL)
    copied.append(copyfile(source, target))
shutil.copyfile = second_is_the_last
from maskrcnn.cli.main import main
sys.argv = ["maskrcnn", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("form", ["coco", "lvis", "yolo", "labelme", "cvat", "voc", "idmask", "binmask"])
def test_a_disk_that_fills_while_a_data_set_is_written(
    form: str, shapes: Path, tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    file_size_limit(500)
    out = tmp_path / "out"
    code, said = run("dataset", "convert", shapes, out, "--format", form)
    assert code == 2, said
    assert "File too large" in said
    assert (out / MARK).exists()
    assert not list(out.rglob("*.part"))
    file_size_limit(2**40)
    code, said = run("dataset", "convert", shapes, out, "--format", form)
    assert code == 0, said
    assert not (out / MARK).exists()


@pytest.mark.parametrize("verb", ["stats", "view", "weights", "doctor-json"])
def test_a_disk_that_is_full_at_the_end_leaves_what_was_there(
    verb: str, shapes: Path, photos: Path, tmp_path: Path, file_size_limit: Callable[[int], None]
) -> None:
    out = tmp_path / f"out{SUFFIXES.get(verb, '')}"
    kept = out / "stats.html" if verb == "stats" else out
    kept.parent.mkdir(exist_ok=True)
    if verb == "stats":  # a page of another program would be refused
        assert run(*words_of(verb, shapes, photos, out))[0] == 0
    else:
        kept.write_text("before")
    before = kept.read_text()
    file_size_limit(150)
    code, said = run(*words_of(verb, shapes, photos, out))
    assert code == 2, said
    assert "File too large" in said
    assert kept.read_text() == before
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
