"""Finds the image file for a name in a label file, however it was spelled on the machine of origin."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from maskrcnn.annotations.problem import DataError
from maskrcnn.datasets.formats.split_names import other_splits, undated
from maskrcnn.images.image_formats import IMAGE_SUFFIXES

# Trees of more files are not searched: files must lie at the paths that names give.
_MAX_FILES = 300_000
_MAX_NAME = 4096
# How many of the last parts of a path are compared at most.
_MAX_PARTS = 8
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://[^/]*/")
_SERVER = re.compile(r"^[\\/]{2,}")
_DRIVE = re.compile(r"^[A-Za-z]:$")
_URL_TAIL = re.compile(r"[?#]")


class _File(NamedTuple):
    """An image file; `rank` is the order of its folder, `alone` whether its base name alone may match."""

    path: Path
    rank: int
    alone: bool


class ImageFinder:
    """Looks for images in some folders, in their order.

    A name is tried as written, then as the URL or percent-encoded name that it may be. If there is no such file,
    leading folders (a drive, those of another machine) are dropped until a file fits; case and the encoding of accents
    are ignored. A base name without its folders counts only where it is unique among entries and among files.

    Args:
        folders: which names are relative to.
        names: those of all entries, to see which base names are shared.
        trees: folders of images, searched with their subfolders.
        root: searched with its subfolders, for files whose folder fits the name as well.
        split: the split of the images; folders of other splits are not entered.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        names: Iterable[str] = (),
        trees: Iterable[Path] = (),
        root: Path | None = None,
        split: str = "",
    ) -> None:
        self.folders = list(dict.fromkeys(folders))
        self._names, self._trees, self._root = names, list(dict.fromkeys(trees)), root
        self._skipped_splits = other_splits(split)
        self._files: dict[tuple[str, ...], list[_File]] | None = None
        self._shared_tails: dict[tuple[str, ...], int] | None = None

    def find(self, name: str) -> Path | None:
        """The file of that name."""
        try:
            return self.found(name)
        except DataError:
            return None

    def found(self, name: str) -> Path:
        """The file of that name.

        Raises:
            DataError: there is none, or several fit.
        """
        ways = list(spellings(name)) if len(name) <= _MAX_NAME else []
        for spelling in ways:
            for folder in self.folders:
                if _is_file(folder / spelling):
                    return folder / spelling
        cut = name if len(name) <= 100 else f"{name[:99]}…"
        missing = f"no file {cut}" + (f" in {self.folders[0]}" if self.folders else "")
        for parts in dict.fromkeys(map(_parts, ways)):
            files, depth = self._best_matches(parts)
            if not files:
                continue
            tail = tuple(map(alike, parts[-depth:]))
            if self._shared(tail):
                what = f"{missing}; {'/'.join(parts[-depth:])} is ambiguous: other entries end so too"
            elif len(files) > 1:
                what = f"{missing}; it is ambiguous: it may be {files[0].path} or {files[1].path}"
            else:
                return files[0].path
            raise DataError("missing-image", what, fix="put the images into the folders that the entries name")
        raise DataError("missing-image", missing, fix="add the file or remove the entry")

    def directly(self, name: str) -> bool:
        """Whether a file of that name, or of its base name, lies in one of the folders."""
        parts = (spelling for full in spellings(name) for spelling in (full, full.rpartition("/")[2]))
        return len(name) <= _MAX_NAME and any(
            _is_file(folder / part) for part in parts if part for folder in self.folders
        )

    def shared(self, name: str) -> bool:
        """Whether other entries have the same base name, in other folders."""
        return any(self._shared((alike(parts[-1]),)) for parts in map(_parts, spellings(name[:_MAX_NAME])) if parts)

    def _best_matches(self, parts: tuple[str, ...]) -> tuple[list[_File], int]:
        """The files that fit as many of the last parts of a name as any, and how many those are."""
        if self._files is None:
            self._files = self._index_files()
        wanted = tuple(map(alike, parts[-_MAX_PARTS:]))
        if near := self._files.get(wanted[-2:], []) if len(wanted) > 1 else []:
            depths = [_common(wanted, file.path) for file in near]
            depth = max(depths)
            fitting = [file for file, d in zip(near, depths, strict=True) if d == depth]
        else:
            depth, fitting = 1, [file for file in self._files.get(wanted[-1:], []) if file.alone]
        first = min((file.rank for file in fitting), default=0)
        fitting = [file for file in fitting if file.rank == first]
        exact = [file for file in fitting if file.path.name == parts[-1]] if parts else []
        return (exact if len(exact) == 1 else fitting), depth

    def _shared(self, tail: tuple[str, ...]) -> bool:
        """Whether the names of several entries end in these parts."""
        if self._shared_tails is None:
            entries = {tuple(dict.fromkeys(map(_parts, spellings(name)))) for name in self._names}
            bases = Counter(base for ways in entries for base in {alike(parts[-1]) for parts in ways if parts})
            tails: Counter[tuple[str, ...]] = Counter()
            for ways in entries:
                ends = {
                    tuple(map(alike, parts[-depth:]))
                    for parts in ways
                    if parts and bases[alike(parts[-1])] > 1
                    for depth in range(1, min(len(parts), _MAX_PARTS) + 1)
                }
                tails.update(ends)
            self._shared_tails = {end: count for end, count in tails.items() if count > 1}
        return tail in self._shared_tails

    def _index_files(self) -> dict[tuple[str, ...], list[_File]]:
        """Image files by their base name, and by that with the folder they lie in."""
        ranks = {folder: rank for rank, folder in enumerate(self.folders)}
        searched = [(folder, True, False) for folder in self.folders] + [(tree, True, True) for tree in self._trees]
        searched += [(self._root, False, True)] if self._root is not None else []
        files: dict[Path, _File] = {}
        for folder, alone, deep in sorted(searched, key=lambda search: ranks.get(search[0], len(ranks))):
            for path in _images_in(folder, self._skipped_splits) if deep else _images_in(folder):
                key = path.absolute()
                if key not in files or (alone and not files[key].alone):
                    files[key] = _File(path, ranks.get(folder, len(ranks)), alone)
        listed: dict[tuple[str, ...], list[_File]] = {}
        for key, file in files.items():
            folder_name, name = map(alike, key.parts[-2:])
            listed.setdefault((name,), []).append(file)
            listed.setdefault((folder_name, name), []).append(file)
        return listed


def alike(name: str) -> str:
    """A key that is equal for names that differ only in case or in the encoding of accents."""
    return unicodedata.normalize("NFC", name).casefold()


def means(name: str, path: Path) -> bool:
    """Whether the base name of a written path matches the file."""
    return any(parts and alike(parts[-1]) == alike(path.name) for parts in map(_parts, spellings(name)))


def spellings(name: str) -> Iterator[str]:
    """A name as written, and decoded as a Windows path, a URL, or a percent-encoded name.

    Slashes in front of the name of a server are cut off: on Windows, looking for such a path would send it a request.
    """
    name = _SERVER.sub("", name)
    forward = name.replace("\\", "/")
    bare = _SCHEME.sub("", forward)
    ways = [name, forward, bare, unquote(bare)]
    for mark in list(_URL_TAIL.finditer(bare))[:_MAX_PARTS]:
        path = bare[: mark.start()]
        if _is_image(path):
            ways += [path, unquote(path)]
        elif mark[0] == "?":  # …/local-files/?d=folder/a.png
            ways += [value for _, value in parse_qsl(bare[mark.end() :]) if _is_image(value)]
    yield from (way for way in dict.fromkeys(ways) if way and not _SERVER.match(way))


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def _parts(spelling: str) -> tuple[str, ...]:
    """Folders and base name, without a drive and whatever is not below one folder."""
    parts: list[str] = []
    for part in spelling.replace("\\", "/").split("/"):
        if part == "..":
            parts.clear()
        elif part not in ("", ".") and not (not parts and _DRIVE.match(part)):
            parts.append(part)
    return tuple(parts)


def _common(wanted: tuple[str, ...], path: Path) -> int:
    """How many of the last parts of a name and a path are alike."""
    pairs = zip(reversed(wanted), map(alike, reversed(path.absolute().parts)), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _images_in(folder: Path, passed: frozenset[str] | None = None) -> list[Path]:
    """The image files of a folder, sorted; with those below it unless `passed`, the folders not to enter, is None."""
    found: list[Path] = []
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        found += [Path(place, name) for name in sorted(names) if _is_image(name) and not name.startswith(".")]
        if passed is None:
            break
        if len(found) + len(entered) > _MAX_FILES:
            return []
        folders[:] = sorted(name for name in folders if not name.startswith(".") and undated(name) not in passed)
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
