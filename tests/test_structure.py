"""The rules of the house that can be counted, and that the counting finds what breaks them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests import structure

ROOT = Path(__file__).parents[1]
FILES = structure.trees()
EDGES = structure.imports(FILES)
# Tests of the whole package and of things outside it, which mirror no single file.
WHOLE = {
    "test_docs.py",
    "test_notebooks.py",
    "test_security.py",
    "test_site.py",
    "test_structure.py",
    "test_wheel.py",
}
# Folders of tests that mirror no room: shared cases, the fuzzer, the public surface.
NO_ROOM = {"cases", "fuzz"}


def test_no_circle_of_files_or_folders() -> None:
    assert structure.circles(EDGES) == []
    assert structure.circles(structure.folders(EDGES)) == []


def test_no_name_stands_twice() -> None:
    assert structure.doubled_basenames(FILES) == {}
    assert structure.doubled_classes(FILES) == {}
    assert list(structure.doubled_functions(FILES).values()) == []


def test_circles_and_doubles_are_found(tmp_path: Path) -> None:
    body = "\n    ".join(f"total = total * {k} + len(str(total)) - {k}" for k in range(9))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "one.py").write_text("def f():\n    from maskrcnn.b import two\n\nclass Same: ...\n")
    (tmp_path / "b" / "two.py").write_text("if TYPE_CHECKING:\n    from maskrcnn.b.three import X\n\nclass Same: ...\n")
    (tmp_path / "b" / "three.py").write_text(f"import maskrcnn.a.one\n\ndef first(total):\n    {body}\n")
    (tmp_path / "a" / "two.py").write_text(f'def second(total):\n    """Other words."""\n    {body}\n')
    files = structure.trees(tmp_path)
    edges = structure.imports(files)
    assert structure.circles(edges) == [["a/one.py", "b/three.py", "b/two.py"]]
    assert structure.circles(structure.folders(edges)) == [["a", "b"]]
    assert structure.doubled_basenames(files) == {"two.py": ["a/two.py", "b/two.py"]}
    assert structure.doubled_classes(files) == {"Same": ["a/one.py", "b/two.py"]}
    assert list(structure.doubled_functions(files).values()) == [["a/two.py:1 second", "b/three.py:3 first"]]
    assert "circles of files: 1" in structure.report(tmp_path)


def test_tests_mirror_the_source() -> None:
    """tests/ROOM/test_FILE.py tests src/maskrcnn/ROOM/FILE.py, or the room as a whole."""
    rooms = {path.rpartition("/")[0] for path in FILES}
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        path = test.relative_to(ROOT / "tests")
        if path.parts[0] in NO_ROOM or path.name in WHOLE:
            continue
        assert path.parent.as_posix().removeprefix(".") in rooms, f"{path}: no such room"


def test_every_file_a_document_names_is_there() -> None:
    """Paths of the repository in backticks, in the documents and in the docstrings of the source."""
    documents = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "benchmarks" / "README.md",
    ]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in documents}
    texts |= {path: ast.get_docstring(tree) or "" for path, tree in FILES.items()}
    for where, text in texts.items():
        if where == "CHANGELOG.md":
            continue  # names what was
        for named in re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.py)[`:]", text):
            assert any((base / named).is_file() for base in (ROOT, ROOT / "src" / "maskrcnn")), f"{where}: {named}"


@pytest.mark.parametrize("room", ["annotations", "images", "masks", "prediction", "results", "runtime"])
def test_rooms_without_torch_reach_none(room: str) -> None:
    """Nothing that these rooms import, directly or through others, at any depth of a function, imports torch."""
    start = [path for path in FILES if path.startswith(f"{room}/")]
    reached = {*start, *(target for path in start for target in structure._reachable(path, EDGES))}
    for path in sorted(reached):
        for node in ast.walk(FILES[path]):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"torch", "torchvision", "timm"}, path


def test_modules_that_the_changelog_says_moved_are_there() -> None:
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in FILES}
    moved = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("### Moved")[2]
    rows = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)`", moved.partition("Classes and functions")[0], re.MULTILINE)
    assert len(rows) > 100
    assert {now for _, now in rows} <= modules
    assert not {before for before, _ in rows} & modules
