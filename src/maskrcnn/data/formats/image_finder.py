"""Finds the image file that a label file means, however the name was spelled on the machine of origin."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from maskrcnn.data.image_formats import IMAGE_SUFFIXES


class ImageFinder:
    """Looks for images in some folders, in their order.

    A name is tried as written, then without the folders of the machine of origin (also Windows'), then without regard
    to upper case and to how accents are encoded.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(dict.fromkeys(folders))
        self._alike: dict[str, Path] | None = None

    def find(self, name: str) -> Path | None:
        """The file of that name."""
        forward = name.replace("\\", "/")
        for spelling in dict.fromkeys((name, forward, Path(forward).name)):
            for folder in self.folders:
                if spelling and _is_file(folder / spelling):
                    return folder / spelling
        if self._alike is None:
            self._alike = {}
            for folder in self.folders:
                for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                    if path.suffix.lower() in IMAGE_SUFFIXES:
                        self._alike.setdefault(alike(path.name), path)
        return self._alike.get(alike(Path(forward).name))


def alike(name: str) -> str:
    """A form in which names that differ only in case or in the encoding of accents are equal."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
