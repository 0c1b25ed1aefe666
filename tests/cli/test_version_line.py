"""`maskrcnn --version` is one line that tells the environment, and comes at once."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

from maskrcnn.cli.version_line import gpus
from maskrcnn.version import VERSION, installed_version
from tests.command import run


def test_it_is_one_line_that_tells_the_environment() -> None:
    code, text = run("--version")
    assert code == 0
    assert len(text.splitlines()) == 1
    for part in (
        f"maskrcnn {VERSION}, Python {platform.python_version()}, torch {importlib.metadata.version('torch')}, ",
        f"torchvision {importlib.metadata.version('torchvision')}, ",
        platform.machine(),
        "CPU core",
    ):
        assert part in text
    assert platform.node() not in text


def test_no_library_is_imported_for_it() -> None:
    words = "import sys; from maskrcnn.cli.main import run_command as run; run(['--version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert {"torch", "torchvision", "numpy"}.isdisjoint(done.stdout.splitlines()[-1].split())


def test_gpus_are_named_as_nvidias_driver_names_them(tmp_path: Path) -> None:
    for number, name in enumerate(("NVIDIA H200", "NVIDIA GeForce RTX 4090")):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
        text = f"Model: \t\t {name}\nIRQ:   \t\t 16\nGPU UUID: \t GPU-1\nVideo BIOS: \t ??.??\nBus Type: \t PCIe\n"
        (tmp_path / f"0000:0{number}:00.0" / "information").write_text(text)
    if platform.system() != "Darwin":
        assert gpus(tmp_path) == ["NVIDIA H200", "NVIDIA GeForce RTX 4090"]
        assert gpus(tmp_path / "absent") == []


def test_a_package_that_is_absent_is_no_error() -> None:
    assert installed_version("no-such-package-of-this-name") == "not installed"
