"""Files, folders, patterns and web addresses as a list of images to read.

A missing or unreadable one becomes an error that is returned, not raised; the others are unaffected.
"""

from __future__ import annotations

import glob
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn.config import Preprocess
from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.images.channels import read_for_model
from maskrcnn.images.image_formats import IMAGE_SUFFIXES, skipped_files_note
from maskrcnn.images.image_reader import ReadImage, find_images
from maskrcnn.images.web_image import check_address, download, is_url, url_parts
from maskrcnn.text import cut_to_bytes, plural

MAX_STEM_BYTES = 200  # of 255 that most file systems take: there is room for a number and a suffix


class ImageSource(NamedTuple):
    """One image to read.

    Attributes:
        name: its file name, with as much of its path as distinguishes it from others of that name.
        path_or_url: a file, or an http(s) address.
        stem: the name without suffix, unique within a list: output files are named by it.
    """

    name: str
    path_or_url: Path | str
    stem: str


class ImageSources(NamedTuple):
    """The images found.

    Attributes:
        images: each once, in the order given.
        problems: an error for each argument or file that cannot be used.
        notes: lines on what was left out on purpose.
    """

    images: list[ImageSource]
    problems: list[MaskRCNNError]
    notes: list[str]


def resolve_sources(arguments: Sequence[str | Path]) -> ImageSources:
    """Find the images of files, folders (not their sub-folders), patterns such as "photos/**/*.jpg", and addresses.

    An image given twice is listed once. Nothing is read or downloaded yet.
    """
    found: dict[str, Path | str] = {}
    problems: list[MaskRCNNError] = []
    notes: list[str] = []
    for argument in arguments:
        try:
            for item in _expand(argument, notes, problems):
                found.setdefault(item if isinstance(item, str) else str(item.resolve()), item)
        except MaskRCNNError as error:
            problems.append(error)
        except (OSError, ValueError, RuntimeError) as error:  # a name too long, no such home, a circle of links
            reason = getattr(error, "strerror", None) or error
            problems.append(MaskRCNNError(f"cannot be read: {reason}", where=argument))
    items = list(found.values())
    names = _names(items)
    images = [ImageSource(*parts) for parts in zip(names, items, _stems(items), strict=True)]
    return ImageSources(images, problems, notes)


def _expand(argument: str | Path, notes: list[str], problems: list[MaskRCNNError]) -> list[Path] | list[str]:
    if is_url(argument):
        check_address(str(argument))
        return [str(argument)]
    if not str(argument):  # as a path it would be the current folder
        what = "expected a file, a folder, a pattern or a web address, found an empty text"
        raise MaskRCNNError(what, fix="name one")
    path = Path(argument).expanduser()
    if path.is_dir():
        return _images_in_folder(path, notes, problems)
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        fix = f"its folder {path.parent} is missing too" if not path.parent.exists() else "check the name"
        what = "expected a file, a folder, a pattern or a web address; nothing is there"
        raise MaskRCNNError(what, where=argument, fix=fix)
    matches = sorted({Path(match) for match in _glob(str(path))})
    images = [match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES and match.is_file()]
    others = skipped_files_note(matches)
    problems += _not_regular_files(matches)
    if not images:
        what = f"expected a pattern that matches images, it matches {_summary(matches)}"
        raise MaskRCNNError(f"{what}; {others}" if others else what, where=argument)
    if others:
        notes.append(f"{argument}: {others}")
    return images


def _glob(pattern: str) -> Iterable[str]:
    """Paths that match a pattern; "**" visits each folder once, even where links form a circle."""
    parts = Path(pattern).parts
    if "**" not in parts:
        return glob.iglob(pattern)  # noqa: PTH207 - absolute patterns
    place = parts.index("**")
    tops = glob.iglob(str(Path(*parts[:place]))) if place else ["."]  # noqa: PTH207
    tail = parts[place + 1 :] or ("*",)
    folders = _walk_folders(Path(top) for top in tops)
    return (match for folder in folders for match in _glob(str(Path(glob.escape(str(folder)), *tail))))


def _walk_folders(tops: Iterable[Path]) -> Iterator[Path]:
    """The folders and all folders below them that are not hidden, each once."""
    seen: set[str] = set()
    for top in tops:
        for folder, below, _ in os.walk(top, followlinks=True):
            place = os.path.realpath(folder)
            below[:] = [] if place in seen else sorted(name for name in below if not name.startswith("."))
            if place not in seen:
                yield Path(folder)
            seen.add(place)


def _not_regular_files(paths: Iterable[Path]) -> Iterator[MaskRCNNError]:
    """An error for each that is named as an image and is neither file nor folder: a broken link, a pipe, a device."""
    for path in paths:
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            try:
                mode = path.stat().st_mode
            except OSError as error:
                link = "a link to what is not there" if path.is_symlink() else error.strerror
                yield MaskRCNNError(f"expected an image file, found {link}", where=path)
                continue
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                yield MaskRCNNError("expected an image file, found a pipe or device", where=path)


def _images_in_folder(folder: Path, notes: list[str], problems: list[MaskRCNNError]) -> list[Path]:
    content = sorted(folder.iterdir())
    images = find_images(folder)
    others = skipped_files_note(content)
    problems += _not_regular_files(content)
    below = sum(_image_count(child) for child in content if child.is_dir())
    wider = Path(glob.escape(str(folder))) / "**" / "*"
    if not images:
        found = f"{below} in its sub-folders" if below else _summary(content)
        fix = f'to read the sub-folders, give "{wider}"' if below else "give a folder of images"
        what = f"expected images in this folder, found {found}"
        raise MaskRCNNError(f"{what}; {others}" if others else what, where=folder, fix=fix)
    if others:
        notes.append(f"{folder}: {others}")
    if below:
        notes.append(
            f'{folder}: {len(images)} taken, {below} in sub-folders left out (to read them all, give "{wider}")'
        )
    return images


def _image_count(folder: Path) -> int:
    """The number of images in a folder; 0 in one that cannot be read."""
    try:
        return len(find_images(folder))
    except OSError:
        return 0


def _summary(paths: Iterable[Path]) -> str:
    """The kinds of paths, for messages: "3 .txt files, 1 folder"."""
    kinds = Counter("folder" if path.is_dir() else f"{path.suffix or 'suffixless'} file" for path in paths)
    return ", ".join(plural(count, kind) for kind, count in kinds.most_common(5)) or "nothing"


def _names(items: Sequence[Path | str]) -> list[str]:
    """File names; those that occur twice get the folders that distinguish them."""
    parts = [url_parts(item) if isinstance(item, str) else item.resolve().parts for item in items]
    shared = Counter(part[-1] for part in parts)
    twins = [part[:-1] for part in parts if shared[part[-1]] > 1]
    levels = list(zip(*twins, strict=False))
    common = next((depth for depth, level in enumerate(levels) if len(set(level)) > 1), len(levels))
    return ["/".join(part[common:]) if shared[part[-1]] > 1 else part[-1] for part in parts]


def _stems(items: Sequence[Path | str]) -> list[str]:
    """Output names: the file's stem, shortened if it is very long; repeated ones (in any case) are numbered."""
    names = [url_parts(item)[-1] if isinstance(item, str) else item.name for item in items]
    wanted = [cut_to_bytes(Path(name).stem, MAX_STEM_BYTES) for name in names]
    reserved, taken, stems = {stem.casefold() for stem in wanted}, set[str](), []
    for stem in wanted:
        unique, number = stem, 1
        while unique.casefold() in taken or (number > 1 and unique.casefold() in reserved):
            number += 1
            unique = f"{stem}_{number}"
        taken.add(unique.casefold())
        stems.append(unique)
    return stems


def read_source(path_or_url: str | Path, preprocess: Preprocess | None = None) -> ReadImage:
    """Read an image from a file or an http(s) address, as a model takes it: as 8-bit RGB unless said otherwise.

    Raises:
        MaskRCNNError: as of `read_image` and `download`, naming the file or the address.
    """
    preprocess = preprocess or Preprocess()
    if not is_url(path_or_url):
        return read_for_model(Path(path_or_url), preprocess)
    url = str(path_or_url)
    try:
        with errors_at(url), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"image{Path(url_parts(url)[-1]).suffix[:10]}"
            path.write_bytes(download(url))
            return read_for_model(path, preprocess)
    except OSError as error:
        what = f"cannot be kept while it is read: {error.strerror or error}"
        raise MaskRCNNError(what, where=url, fix="free some space for temporary files") from error
