"""How long a command takes from nothing to its end, beside `import torch`; and a folder beside the predictor alone.

    python benchmarks/startup.py --image photo.jpg --folder DATA/images

Each command is a fresh process; all take turns, and medians of --runs are printed, after a run that brings the files
into memory. The folder is predicted in one process by the predictor alone and by the command; both must find as
many objects. What is running is told on standard error. Run it where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PREDICTOR = """
import sys, time
import maskrcnn
from maskrcnn.images.sources import resolve_sources
model = maskrcnn.load(sys.argv[1])
sources = [source.path_or_url for source in resolve_sources(sys.argv[2:]).images]
began = time.perf_counter()
rows = sum(len(result) for result in model.stream(sources))
print(rows, time.perf_counter() - began)
"""


def timed(words: Sequence[str]) -> tuple[float, float, str]:
    """Wall and CPU seconds of a process, and what it prints."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(words)[:200]} failed:\n{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def commands(image: str, onnx: Path, out: str) -> dict[str, list[str]]:
    """What is timed, by its name."""
    predict = ["-m", "maskrcnn", "predict", image, "--out", out]
    return {
        "import torch": ["-c", "import torch"],
        "import maskrcnn": ["-c", "import maskrcnn"],
        "maskrcnn --help": ["-m", "maskrcnn", "--help"],
        "maskrcnn demo": ["-m", "maskrcnn", "demo", "--out", out],
        "predict, nuclei": predict,
        "predict, nuclei.onnx": [*predict, "--model", str(onnx)],
        "maskrcnn.runtime, nuclei.onnx": ["-m", "maskrcnn.runtime", str(onnx), image, "--out", out],
    }


def tell(line: str) -> None:
    """What is running, or was measured, while it goes on."""
    print(line, file=sys.stderr, flush=True)


def cold(image: str, runs: int, folder: Path) -> None:
    """Print the medians of all commands."""
    onnx = folder / "nuclei.onnx"
    tell("exporting nuclei to ONNX")
    timed(["-m", "maskrcnn", "export", "nuclei", "--format", "onnx", "--out", str(onnx)])
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(runs + 1):
        for name, words in commands(image, onnx, str(folder / "out")).items():
            wall, cpu, _ = timed(words)
            tell(f"run {number} of {runs}: {name} {wall:.2f} s")
            if number:  # the first brings the files into memory
                found.setdefault(name, []).append((wall, cpu))
    print(f"{'':32s}{'wall s':>8s}{'CPU s':>8s}")
    for name, times in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:32s}{wall:8.2f}{cpu:8.2f}")


def many(images: str, model: str, runs: int, folder: Path) -> None:
    """Print the medians of the predictor's own time, of the command's less its start, and their ratio."""
    words = ["-m", "maskrcnn", "predict", images, "--model", model, "--out", str(folder / "many")]
    one = ["-m", "maskrcnn", "predict", str(next(iter(sorted(Path(images).iterdir())))), "--model", model]
    alone, whole, starts = [], [], []
    for number in range(runs + 1):
        rows, seconds = timed(["-c", PREDICTOR, model, images])[2].split()
        command, start = timed(words)[0], timed([*one, "--out", str(folder / "one")])[0]
        tell(f"run {number} of {runs}: predictor {float(seconds):.1f} s, command {command:.1f} s, one {start:.1f} s")
        if number:  # the first brings the files into memory
            alone.append(float(seconds))
            whole.append(command)
            starts.append(start)
        written = json.loads((folder / "many" / "predictions.json").read_text())
        assert len(written) == int(rows), f"the command found {len(written)} objects, the predictor {rows}"
    ours, command, start = map(statistics.median, (alone, whole, starts))
    print(f"predictor alone {ours:.1f} s, command {command:.1f} s, of which one image {start:.1f} s")
    print(f"command / predictor {command / ours:.2f}, without the start {(command - start) / ours:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", help="a photo, for the commands from nothing")
    parser.add_argument("--folder", help="a folder of images")
    parser.add_argument("--model", default="nuclei", help="for the folder")
    parser.add_argument("--runs", type=int, default=7, help="of each command; half as many of the folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.image:
            cold(chosen.image, chosen.runs, Path(folder))
        if chosen.folder:
            many(chosen.folder, chosen.model, max(chosen.runs // 2, 1), Path(folder))


if __name__ == "__main__":
    main()
