"""Counts what the structure of the package is judged by. `python -m tests.structure` prints it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "maskrcnn"


def trees(source: Path = SOURCE) -> dict[str, ast.Module]:
    """The syntax tree of each file, by its path below the package."""
    files = sorted(source.rglob("*.py"))
    return {file.relative_to(source).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def imports(files: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """The files of the package that each file imports: at its head, in functions, and for type checkers alone."""
    modules = {
        ("maskrcnn/" + path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in files
    }
    found: dict[str, set[str]] = {path: set() for path in files}
    for path, tree in files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                # `from package import name` is an import of the module package.name, or of package itself.
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in modules else node.module for name in inner]
            else:
                continue
            found[path] |= {modules[name] for name in names if name in modules and modules[name] != path}
    return found


def _module(path: str) -> str:
    return f"maskrcnn/{path}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def folders(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same imports between folders; a file of the package itself counts as a folder of its own."""

    def folder(path: str) -> str:
        return path.rpartition("/")[0] or path

    found: dict[str, set[str]] = {folder(path): set() for path in edges}
    for path, targets in edges.items():
        found[folder(path)] |= {folder(target) for target in targets} - {folder(path)}
    return found


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes each of which reaches all others (strongly connected components of more than one)."""
    reach = {node: _reachable(node, edges) for node in edges}
    groups = {frozenset({node, *(other for other in reach[node] if node in reach[other])}) for node in edges}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def repeated(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names that stand in more than one place, from pairs of a name and a place."""
    places = defaultdict(list)
    for name, place in pairs:
        places[name].append(place)
    return {name: found for name, found in sorted(places.items()) if len(found) > 1}


def doubled_basenames(files: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """File names that stand in several folders, but for those that Python prescribes."""
    return repeated((name, path) for path in files if (name := path.rpartition("/")[2]) not in _PRESCRIBED)


def doubled_classes(files: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Class names, private ones too, that stand in several files."""
    return repeated(
        (node.name, path) for path, tree in files.items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )


def doubled_functions(files: Mapping[str, ast.Module]) -> dict[str, list[str]]:
    """Functions of at least three statements whose bodies are the same, whatever their names."""
    return repeated(
        (ast.dump(ast.Module(_without_docstring(node), [])), f"{path}:{node.lineno} {node.name}")
        for path, tree in files.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and len(list(ast.walk(node))) > _SMALL
    )


def _without_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


_PRESCRIBED = ("__init__.py", "__main__.py")
_SMALL = 40  # nodes of a function that two files may write alike


def report(source: Path = SOURCE) -> str:
    """All counts as text, a line each."""
    files = trees(source)
    edges = imports(files)
    lines = {path: len((source / path).read_text(encoding="utf-8").splitlines()) for path in files}
    functions = [
        ((node.end_lineno or 0) - node.lineno + 1, f"{path} {node.name}")
        for path, tree in files.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    sizes = defaultdict(int)
    for path in files:
        sizes[path.rpartition("/")[0] or "."] += 1
    counted: list[tuple[str, Callable[[], object]]] = [
        ("circles of files", lambda: circles(edges)),
        ("circles of folders", lambda: circles(folders(edges))),
        ("file names that stand twice", lambda: doubled_basenames(files)),
        ("class names that stand twice", lambda: doubled_classes(files)),
        ("functions that stand twice", lambda: list(doubled_functions(files).values())),
    ]
    text = []
    for what, count in counted:
        found = count()
        text.append(f"{what}: {len(found)}  {found or ''}".rstrip())  # type: ignore[arg-type]
    text += [
        f"files: {len(files)}",
        f"lines: {sum(lines.values()):,}",
        "longest file: {1}, {0} lines".format(*max((count, path) for path, count in lines.items())),
        "longest function: {1}, {0} lines".format(*max(functions)),
        "largest folder: {1}, {0} files".format(*max((count, path) for path, count in sizes.items())),
    ]
    return "\n".join(text)


if __name__ == "__main__":
    print(report())
