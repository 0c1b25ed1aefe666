"""Where a predictor was loaded from, so that another process can load it from there again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskrcnn.errors import MaskRCNNError


@dataclass(frozen=True)
class Origin:
    """A function that loads a predictor, its arguments, and the files that it reads.

    Attributes:
        load: of a module, so that it can be pickled by its name.
        files: absolute path → size in bytes and time of change in ns, as they were when the predictor was loaded.
    """

    load: Callable[..., Any]
    arguments: dict[str, Any]
    files: dict[Path, tuple[int, int] | None]

    @classmethod
    def of(cls, load: Callable[..., Any], *files: Path, **arguments: Any) -> Origin:
        """The origin with the files' present state; call it before they are read."""
        return cls(load, arguments, {path: _state(path) for path in files})

    @property
    def source(self) -> str:
        """The name or the absolute path that the predictor was loaded by."""
        return str(self.arguments.get("source", self.arguments.get("path")))

    def check(self) -> None:
        """Raises `MaskRCNNError` if a file is missing, or has changed since the predictor was loaded."""
        for path, before in self.files.items():
            now = _state(path)
            if now is None:
                what = "the model's file is not there, or cannot be read, and it cannot be loaded again"
                raise MaskRCNNError(what, where=path, fix="processes need the file at the same path")
            if now != before:
                what = "the file changed since the model was loaded; another process would load another model"
                raise MaskRCNNError(what, where=path, fix="load it anew, and send that")

    def reload(self) -> Any:
        """The predictor, loaded again. Raises `MaskRCNNError` as `check` and ``load``."""
        self.check()
        return self.load(**self.arguments)


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # names too long, or with a NUL
        return None
    return found.st_size, found.st_mtime_ns
