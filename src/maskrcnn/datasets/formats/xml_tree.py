"""XML of unknown origin: elements without document types or entities, in bounded size, depth and number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from maskrcnn.errors import MaskRCNNError

_MAX_DEPTH = 64
_MAX_PARTS = 1_000_000
_CHUNK = 1 << 20


def elements(file: Path, tags: tuple[str, ...], max_bytes: int) -> Iterator[Element]:
    """The outermost elements with one of these tags, one after another, never all in memory.

    Raises:
        MaskRCNNError: the file cannot be read, is larger than `max_bytes`, is no well-formed XML, nests more than 64
            levels, has more than a million elements in one of these, or declares a document type, by which entities can
            grow without bound.
    """
    try:
        size = file.stat().st_size
        if size > max_bytes:
            what = f"expected an XML file of at most {max_bytes:,} bytes, found {size:,}"
            raise MaskRCNNError(what, where=file, fix="split the annotations into several files")
        collector = _Collector(tags)
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                collector.parser.Parse(chunk, False)
                yield from collector.take()
        collector.parser.Parse(b"", True)
        yield from collector.take()
    except OSError as error:
        raise MaskRCNNError(f"cannot be read: {error}", where=file, fix="check the file") from error
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise MaskRCNNError(f"not usable XML: {error}", where=file, fix="export the annotations again") from error


class _Collector:
    """Builds the wanted elements while the parser runs."""

    def __init__(self, tags: tuple[str, ...]) -> None:
        self.tags, self.depth = tags, 0
        self.builder: TreeBuilder | None = None
        self.built_at = self.parts = 0
        self.done: list[Element] = []
        self.parser: Any = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler, self.parser.EndElementHandler = self.start, self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.refuse

    def take(self) -> list[Element]:
        done, self.done = self.done, []
        return done

    def refuse(self, name: str, *_: Any) -> None:
        raise ValueError(f"it declares a document type ({name!r}), which annotations do not need")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ValueError(f"more than {_MAX_DEPTH} levels of nesting")
        if self.builder is None and tag in self.tags:
            self.builder, self.built_at, self.parts = TreeBuilder(), self.depth, 0
        if self.builder is not None:
            self.parts += 1
            if self.parts > _MAX_PARTS:
                raise ValueError(f"more than {_MAX_PARTS:,} elements in one {self.tags}")
            self.builder.start(tag, attributes)

    def end(self, tag: str) -> None:
        if self.builder is not None:
            self.builder.end(tag)
            if self.depth == self.built_at:
                self.done.append(self.builder.close())
                self.builder = None
        self.depth -= 1

    def text(self, data: str) -> None:
        if self.builder is not None:
            self.builder.data(data)
