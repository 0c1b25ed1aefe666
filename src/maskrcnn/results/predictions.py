"""What the model found in several images: their results in order, and what was skipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from maskrcnn.errors import exit_code
from maskrcnn.html_table import escaped, html_lines, html_table
from maskrcnn.results.overlay import count_line
from maskrcnn.results.result import Result
from maskrcnn.text import plural

_SHOWN = 6  # pictures in a notebook
KEPT_BYTES = 2**30  # of images that results keep, to be drawn


@dataclass(repr=False)
class Predictions(Sequence[Result]):
    """Results of images, in the order of the sources. In a notebook the first ones show their pictures.

    Attributes:
        results: of the images that could be read. Once their images take 1 GiB, further results keep none: to draw
            one, give `draw` the image.
        notes: what was skipped or changed, one line each.
        skipped: number of sources that gave no result.
        images, objects: how many were segmented, and found in them; also of results that are not kept.
        titles: a name for each result.
    """

    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: int = 0
    images: int = 0
    objects: int = 0
    titles: list[str] = field(default_factory=list)
    _bytes: int = 0

    @property
    def exit_code(self) -> int:
        """0 if nothing was skipped, otherwise 1; 2 if there is no result at all."""
        return exit_code(self.images, self.skipped)

    def tally(self, result: Result) -> None:
        """Count a result that is not kept."""
        self.images += 1
        self.objects += len(result)

    def add(self, result: Result, title: str = "") -> None:
        """Keep a result, with its image while there is room. Its title is the name of its file unless given."""
        self.tally(result)
        self.titles.append(title or (result.path.name if result.path else ""))
        size = 0 if result.image is None else result.image.nbytes
        if self._bytes + size > KEPT_BYTES:
            result.image, size = None, 0
        self._bytes += size
        self.results.append(result)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> list[Result]: ...
    def __getitem__(self, index: int | slice) -> Result | list[Result]:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __repr__(self) -> str:
        skipped = f", {self.skipped:,} skipped" if self.skipped else ""
        names = [name for result in self.results for name in result.names]
        found = f": {count_line(names)}" if names else ""
        return f"Predictions({plural(self.objects, 'object')} in {plural(self.images, 'image')}{found}{skipped})"

    def __str__(self) -> str:
        return "\n".join([repr(self), *map(repr, self.results[:20]), *self.notes])

    def _repr_html_(self) -> str:
        head = f"<div>{escaped(repr(self)[len('Predictions(') : -1])}</div>"
        pictures = "".join(
            f'<figure style="display:inline-block;margin:.3em">{result.html_picture(360)}'
            f"<figcaption>{escaped(title)}</figcaption></figure>"
            for result, title in zip(self.results[:_SHOWN], self.titles, strict=False)
        )
        rows = [
            (title, count_line(result.names) or "nothing", len(result))
            for result, title in zip(self.results, self.titles, strict=True)
        ]
        table = html_table([("image", "found", "objects"), *rows], words=2) if len(rows) > 1 else ""
        return f"<div>{head}{pictures}{table}{html_lines(self.notes)}</div>"
