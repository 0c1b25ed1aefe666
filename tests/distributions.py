"""The sdist and the wheel of the working tree, and clean environments that hold the wheel."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# What of the running environment must not reach into a clean one.
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class Distributions(NamedTuple):
    sdist: Path
    wheel: Path


def source_files() -> list[str]:
    """The files of the working tree that git holds, or would hold, by their path."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(path for path in done.stdout.split("\0") if path and (ROOT / path).is_file())


def build(folder: Path) -> Distributions:
    """`python -m build` of a copy of the working tree: the sdist, and from the sdist the wheel."""
    for path in source_files():
        copy = folder / "source" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy)
    words = ["-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "source"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return Distributions(sdist, wheel)


class CleanEnvironment:
    """A virtual environment with the wheel alone; other packages are lent by the running one, by their names.

    They are links, and bring with them what they declare to need. What is not asked for cannot be imported.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.packages = Path(self.run("python", "-c", where).stdout.strip())
        self.pip("--no-index", "--no-deps", wheel)

    def pip(self, *words: object) -> None:
        """`pip install words…` with the pip of the running environment."""
        call = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", *words]
        done = subprocess.run(list(map(str, call)), capture_output=True, text=True, env=_environment())
        assert done.returncode == 0, done.stderr

    def lend(self, names: Iterable[str]) -> None:
        """Make these installed distributions importable, and all that they require."""
        lent = self.packages.parent / "lent"
        lent.mkdir()
        for distribution in closure(names):
            for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
                if not (lent / top).exists():
                    (lent / top).symlink_to(Path(str(distribution.locate_file(top))))
        (self.packages / "lent.pth").write_text(f"{lent}\n")

    def run(self, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """The result of a program of this environment, such as `python` or `maskrcnn`, which must succeed."""
        call = [str(self.bin / str(words[0])), *map(str, words[1:])]
        done = subprocess.run(call, capture_output=True, text=True, env=_environment(), **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


def requirements(name: str) -> set[str]:
    """The names of what an installed distribution requires here, without extras."""
    parsed = map(Requirement, importlib.metadata.requires(name) or ())
    return {one.name for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})}


def closure(names: Iterable[str]) -> list[importlib.metadata.Distribution]:
    """Installed distributions by name, and what they require, and so on."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        distribution = importlib.metadata.distribution(waiting.pop())
        if distribution.name not in found:
            found[distribution.name] = distribution
            waiting += requirements(distribution.name)
    return list(found.values())


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OURS}
