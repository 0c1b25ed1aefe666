"""The sdist and the wheel hold what they should, and the wheel works where nothing else of the project is."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from maskrcnn.version import VERSION
from tests.command import run
from tests.distributions import ROOT, CleanEnvironment, Distributions, source_files

# Of the repository, not of the package: CI, and what git leaves out.
NOT_IN_SDIST = re.compile(r"\.(ci|github)/|\.gitignore")
GENERATED = re.compile(r"PKG-INFO|setup\.cfg|src/maskrcnn\.egg-info/.*")
# Used where they are present: notebooks run in IPython, torch brings triton on some systems, and Pillow reads HEIF with
# pillow_heif.
OPTIONAL = {"IPython", "pillow_heif", "triton"}


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"maskrcnn-{VERSION}.dist-info/METADATA").decode())


def requirements(wheel: Path) -> list[Requirement]:
    return [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def test_the_sdist_is_the_source_tree(distributions: Distributions) -> None:
    with tarfile.open(distributions.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    assert {path for path in held if not GENERATED.fullmatch(path)} == {
        path for path in source_files() if not NOT_IN_SDIST.match(path)
    }


def test_the_wheel_is_the_package_and_its_licence(distributions: Distributions) -> None:
    package = {path.removeprefix("src/") for path in source_files() if path.startswith("src/")}
    with zipfile.ZipFile(distributions.wheel) as archive:
        held = set(archive.namelist())
    assert {path for path in held if "dist-info" not in path} == package
    assert f"maskrcnn-{VERSION}.dist-info/licenses/LICENSE" in held
    for path in ("py.typed", "weights/bundled/nuclei.safetensors", "weights/bundled/nuclei.md"):
        assert f"maskrcnn/{path}" in package


def test_the_metadata_can_be_published(distributions: Distributions) -> None:
    call = [sys.executable, "-m", "twine", "check", "--strict", *distributions]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    about = metadata(distributions.wheel)
    assert about["Version"] == VERSION
    assert about["License-Expression"] == "Apache-2.0"
    text = about.get_payload()
    assert isinstance(text, str)
    assert text.startswith("# maskrcnn")
    # On PyPI a path into the repository leads nowhere.
    assert re.findall(r"\]\((?!https?:)[^)]*\)|(?:src|href)=\"(?!https?:)[^\"]*\"", text) == []
    assert "security" in text.lower(), "the words of a link stay"


def test_every_import_is_of_a_declared_dependency(distributions: Distributions) -> None:
    names = {normal(one.name) for one in requirements(distributions.wheel) if "dev" not in str(one.marker)}
    owners = importlib.metadata.packages_distributions()
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                tops = {node.module.partition(".")[0]}
            else:
                continue
            for top in tops - sys.stdlib_module_names - OPTIONAL - {"maskrcnn"}:
                owned = {normal(name) for name in owners.get(top, [])}
                assert owned & names, f"{file}: {top} is of {owned}, which pyproject.toml does not declare"


def test_the_wheel_alone_runs_the_demo(distributions: Distributions, tmp_path: Path) -> None:
    """With the declared dependencies and nothing else, the pictures are those of the source tree."""
    clean = CleanEnvironment(tmp_path / "venv", distributions.wheel)
    clean.lend(one.name for one in requirements(distributions.wheel) if one.marker is None)
    where = clean.run("python", "-c", "import maskrcnn; print(maskrcnn.__file__)").stdout
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert VERSION in clean.run("maskrcnn", "--version").stdout
    clean.run("maskrcnn", "demo", "--out", tmp_path / "wheel", "--device", "cpu")
    assert run("demo", "--out", tmp_path / "source", "--device", "cpu")[0] == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "wheel").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "source").iterdir()}
    assert len(made) == 5


@pytest.mark.skipif("MASKRCNN_FULL_INSTALL" not in os.environ, reason="takes minutes and 6 GB: MASKRCNN_FULL_INSTALL=1")
def test_pip_installs_the_wheel_with_all_it_needs(distributions: Distributions, tmp_path: Path) -> None:
    started = time.perf_counter()
    clean = CleanEnvironment(tmp_path / "venv", distributions.wheel)
    clean.pip(distributions.wheel)
    print(f"installed in {time.perf_counter() - started:.0f} s")
    assert clean.run("maskrcnn", "demo", "--out", tmp_path / "out").stderr == ""
    assert len(list((tmp_path / "out").iterdir())) == 5
