"""Untrusted YAML and JSON: size, depth and expansion are checked before anything is built from them."""

from __future__ import annotations

import json
import reprlib
import stat
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import first_line

MAX_YAML_BYTES = 4 * 2**20
MAX_DEPTH = 64
# Aliases make a short YAML long: nodes are counted as if each alias were written out.
MAX_YAML_NODES = 500_000

_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map"))
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 60, 60, 30


def shown(value: object, limit: int = 60) -> str:
    """``repr(value)`` for a message, cut to ``limit`` characters without building the whole text first."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python writes out
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def read_yaml(path: Path, *, as_written: Collection[str] = ()) -> Any:
    """The content of a YAML file: dicts, lists, str, int, float, bool and None.

    Dates stay text. Tags of other types and cycles are errors.

    Args:
        as_written: top-level keys below which scalars stay text as in the file, such as ``no`` and ``02146``.

    Raises:
        MaskRCNNError: the file cannot be read, is not YAML, or exceeds MAX_YAML_BYTES, MAX_DEPTH or MAX_YAML_NODES.
    """
    import yaml

    text = _read_text(path, MAX_YAML_BYTES, "YAML")
    try:
        return _built(text, as_written)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, AttributeError, TypeError, LookupError) as error:
        # Python's own errors come from values such as a number of 5,000 digits, 0x, or !!bool abc.
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        problem = str(getattr(error, "problem", None) or first_line(error))[:200]
        raise MaskRCNNError(f"not valid YAML: {problem}{place}", where=path, fix="correct the file") from None


def read_json(
    path: Path, *, max_bytes: int | None = None, object_hook: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """The content of a JSON file, in UTF-8 or UTF-16.

    Args:
        max_bytes: the largest file that is read.
        object_hook: as of `json.loads`.

    Raises:
        MaskRCNNError: the file cannot be read, is not JSON, is nested too deeply or too large.
    """
    return parse_json(_read_text(path, max_bytes, "JSON"), path, object_hook=object_hook)


def parse_json(text: str, where: object = None, *, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """As `read_json`, from text; ``where`` is the place that an error names."""
    try:
        return json.loads(text, object_hook=object_hook)
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise MaskRCNNError(f"not valid JSON: {problem}", where=where, fix="correct the file") from None


def _read_text(path: Path, max_bytes: int | None, kind: str) -> str:
    try:
        found = path.stat()
        size = found.st_size
        if not stat.S_ISREG(found.st_mode):  # a pipe may wait forever, a device never end
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or device"
            raise MaskRCNNError(f"cannot be read: expected a file of {kind}, found {what}", where=path)
        if max_bytes is not None and size > max_bytes:
            raise MaskRCNNError(f"expected at most {max_bytes:,} bytes of {kind}, found {size:,}", where=path)
        content = path.read_bytes()
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"not {error.encoding} text, byte {error.start} is {error.object[error.start]:#04x}"
        raise MaskRCNNError(f"not valid {kind}: {problem}", where=path, fix="save it as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MaskRCNNError(f"cannot be read: {reason}", where=path, fix="check the path") from None


def _built(text: str, as_written: Collection[str]) -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    _check_depth(text, base)

    class Loader(base):
        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own attribute
            start: [pair for pair in pairs if not pair[0].endswith(":timestamp")]
            for start, pairs in base.yaml_implicit_resolvers.items()
        }

    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        if node.id == "mapping":
            for key, value in node.value:
                if key.id == "scalar" and key.value in as_written and not value.tag.endswith(":null"):
                    _keep_text(value)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_depth(text: str, loader: Any) -> None:
    """Raise for deep nesting before the nodes are composed, which recurses."""
    import yaml

    depth = 0
    event: Any
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=event.start_mark)


def _check_nodes(root: Any) -> None:
    """Raise for cycles, for tags of other types, and where aliases multiply to more than MAX_YAML_NODES nodes."""
    import yaml

    counts: dict[int, int | None] = {}

    def count(node: Any) -> int:
        known = counts.get(id(node), 0)
        if known is None:
            raise yaml.MarkedYAMLError(problem="an alias of a node that contains it", problem_mark=node.start_mark)
        if known:
            return known
        if node.tag not in _PLAIN and not node.tag.endswith(":merge"):
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise yaml.MarkedYAMLError(problem=f"a value of type {tag[:60]}", problem_mark=node.start_mark)
        counts[id(node)] = None
        total = 1 + sum(map(count, _children(node)))
        if total > MAX_YAML_NODES:
            what = f"aliases that expand to more than {MAX_YAML_NODES:,} values"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark)
        counts[id(node)] = total
        return total

    count(root)


def _children(node: Any) -> list[Any]:
    """The nodes directly below a node; of a mapping the keys and the values."""
    if node.id == "scalar":
        return []
    return node.value if node.id == "sequence" else [part for pair in node.value for part in pair]


def _keep_text(node: Any) -> None:
    """Turn every scalar of a tree, keys included, into text."""
    if node.id == "scalar":
        node.tag = "tag:yaml.org,2002:str"
    for child in _children(node):
        _keep_text(child)
