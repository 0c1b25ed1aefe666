"""What a user points at - files, folders, patterns, web addresses - as a list of images to read.

One that is missing becomes a problem line; the others are kept.
"""

from __future__ import annotations

import glob
import re
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from maskrcnn.data.channels import read_for_model
from maskrcnn.data.image_formats import IMAGE_SUFFIXES, left_out
from maskrcnn.data.image_io import ReadImage, find_images
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.config import Preprocess

MAX_DOWNLOAD_BYTES = 256 * 2**20
DOWNLOAD_SECONDS = 60.0


class Source(NamedTuple):
    """One image to read.

    Attributes:
        name: its file name; with as much of its folder as tells it from others of that name.
        path_or_url: a file, or an http(s) address.
        stem: the name without suffix, different for each source of a list: what its output files are called.
    """

    name: str
    path_or_url: Path | str
    stem: str


class Sources(NamedTuple):
    """The images found, a line for each argument that gave none, and lines worth telling that lose nothing."""

    images: list[Source]
    problems: list[str]
    notes: list[str]


def is_url(source: object) -> bool:
    """Whether this is an http(s) address."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def resolve_sources(arguments: Sequence[str | Path]) -> Sources:
    """Find the images behind files, folders (not their sub-folders), patterns such as "photos/**/*.jpg", and addresses.

    An image given twice is listed once. Nothing is read or downloaded yet.
    """
    found: dict[str, Path | str] = {}
    problems: list[str] = []
    notes: list[str] = []
    for argument in arguments:
        try:
            for item in _expand(argument, notes):
                found.setdefault(item if isinstance(item, str) else str(item.resolve()), item)
        except (MaskRCNNError, OSError) as error:
            problems.append(str(error))
    items = list(found.values())
    names = _names(items)
    return Sources([Source(*parts) for parts in zip(names, items, _stems(items), strict=True)], problems, notes)


def _expand(argument: str | Path, notes: list[str]) -> list[Path] | list[str]:
    if is_url(argument):
        return [str(argument)]
    path = Path(argument).expanduser()
    if path.is_dir():
        return _images_of(path, notes)
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        fix = f"its folder {path.parent} is missing too" if not path.parent.exists() else "check the name"
        raise MaskRCNNError(
            "expected a file, a folder, a pattern or a web address; nothing is there", where=argument, fix=fix
        )
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute patterns
    images = [match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES and match.is_file()]
    others = left_out(matches)
    if not images:
        what = f"expected a pattern that matches images, it matches {_summary(matches)}"
        raise MaskRCNNError(f"{what}; {others}" if others else what, where=argument)
    if others:
        notes.append(f"{argument}: {others}")
    return images


def _images_of(folder: Path, notes: list[str]) -> list[Path]:
    images = find_images(folder)
    others = left_out(sorted(folder.iterdir()))
    below = sum(len(find_images(child)) for child in folder.iterdir() if child.is_dir())
    wider = folder / "**" / "*"
    if not images:
        found = f"{below} in its sub-folders" if below else _summary(sorted(folder.iterdir()))
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


def _summary(paths: Iterable[Path]) -> str:
    """What there is instead of images: "3 .txt files, 1 folder"."""
    kinds = Counter("folder" if path.is_dir() else f"{path.suffix or 'suffixless'} file" for path in paths)
    return ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in kinds.most_common(5)) or "nothing"


def _names(items: Sequence[Path | str]) -> list[str]:
    """File names; those that occur twice get the folders that tell them apart."""
    parts = [_url_parts(item) if isinstance(item, str) else item.resolve().parts for item in items]
    shared = Counter(part[-1] for part in parts)
    twins = [part[:-1] for part in parts if shared[part[-1]] > 1]
    levels = list(zip(*twins, strict=False))
    common = next((depth for depth, level in enumerate(levels) if len(set(level)) > 1), len(levels))
    return ["/".join(part[common:]) if shared[part[-1]] > 1 else part[-1] for part in parts]


def _stems(items: Sequence[Path | str]) -> list[str]:
    """Output names: the file's own stem, the second of a kind numbered; case ignored, as some file systems do."""
    wanted = [Path(_url_parts(item)[-1] if isinstance(item, str) else item.name).stem for item in items]
    reserved, taken, stems = {stem.casefold() for stem in wanted}, set[str](), []
    for stem in wanted:
        unique, number = stem, 1
        while unique.casefold() in taken or (number > 1 and unique.casefold() in reserved):
            number += 1
            unique = f"{stem}_{number}"
        taken.add(unique.casefold())
        stems.append(unique)
    return stems


def _url_parts(url: str) -> tuple[str, ...]:
    """Host and path of an address, each part safe as a file name; ends with "image" where the address names none."""
    split = urlsplit(url)
    path = [re.sub(r"[^\w. -]", "_", unquote(part)) for part in split.path.split("/") if part]
    return (re.sub(r"[^\w.-]", "_", split.netloc), *(path or ["image"]))


def read_source(path_or_url: str | Path, preprocess: Preprocess | None = None) -> ReadImage:
    """Read an image from a file or an http(s) address, as a model takes it: as 8-bit RGB unless said otherwise.

    Raises:
        MaskRCNNError: as of `read_image` and `download`, naming the file or the address.
    """
    preprocess = preprocess or Preprocess()
    if not is_url(path_or_url):
        return read_for_model(Path(path_or_url), preprocess)
    url = str(path_or_url)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _url_parts(url)[-1][-100:]
        path.write_bytes(download(url))
        try:
            return read_for_model(path, preprocess)
        except MaskRCNNError as error:
            raise MaskRCNNError(error.what, where=url, fix=error.fix) from error


def download(url: str, *, max_bytes: int = MAX_DOWNLOAD_BYTES, seconds: float = DOWNLOAD_SECONDS) -> bytes:
    """The bytes behind an http(s) address.

    Raises:
        MaskRCNNError: the address cannot be reached or refuses, it holds more than max_bytes, or it takes too long.
    """
    too_large = MaskRCNNError(
        f"more than the {max_bytes:,} bytes allowed", where=url, fix="download it and give the file"
    )
    too_slow = MaskRCNNError(f"not downloaded within {seconds:g} s", where=url, fix="download it and give the file")
    deadline = time.monotonic() + seconds
    chunks, size = [], 0
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "maskrcnn"})
        with urllib.request.urlopen(request, timeout=min(20.0, seconds)) as response:
            if int(response.headers.get("Content-Length") or 0) > max_bytes:
                raise too_large
            while chunk := response.read1(2**16):
                chunks.append(chunk)
                size += len(chunk)
                if size > max_bytes:
                    raise too_large
                if time.monotonic() > deadline:
                    raise too_slow
    except urllib.error.HTTPError as error:
        raise MaskRCNNError(
            f"the server answered {error.code} {error.reason}", where=url, fix="check the address"
        ) from error
    except TimeoutError as error:
        raise too_slow from error
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "reason", error)
        raise MaskRCNNError(
            f"cannot be reached: {reason}", where=url, fix="check the address and the network"
        ) from error
    return b"".join(chunks)
