"""Places that verbs write to: claimed before the work, so that nothing is lost after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskrcnn.cli.console import warn
from maskrcnn.output.claim import claim_file, claim_folder


@contextmanager
def own_folder(folder: Path | None) -> Iterator[None]:
    """Hold an output folder, if there is one. Raises `MaskRCNNError` if it is in use or cannot be written to."""
    if folder is None:
        yield
        return
    with claim_folder(folder) as notes:
        for line in notes:
            warn(line)
        yield


@contextmanager
def own_file(path: Path | str | None) -> Iterator[None]:
    """Likewise an output file; "-" is standard output."""
    if path is None or path == "-":
        yield
        return
    with claim_file(path) as notes:
        for line in notes:
            warn(line)
        yield
