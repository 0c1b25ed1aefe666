"""The claim of a verb on the place it writes to, made before the work, so that no result is lost for want of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskrcnn.output.output_lock import claim_file, claim_folder
from maskrcnn.verbs.display import VerbDisplay


@contextmanager
def own_folder(folder: str | Path | None, display: VerbDisplay) -> Iterator[None]:
    """Claim an output folder unless it is None. Raises `MaskRCNNError` if it is in use or cannot be written to."""
    if folder is None:
        yield
        return
    with claim_folder(folder) as notes:
        for line in notes:
            display.note(line)
        yield


@contextmanager
def own_file(path: str | Path | None, display: VerbDisplay) -> Iterator[None]:
    """As `own_folder` for an output file; "-" is standard output."""
    if path is None or path == "-":
        yield
        return
    with claim_file(path) as notes:
        for line in notes:
            display.note(line)
        yield
