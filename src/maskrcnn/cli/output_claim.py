"""Claim output folders and files before the work, so that no result is lost because it cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from maskrcnn.cli.console import warn
from maskrcnn.output.output_lock import claim_file, claim_folder


def own_folder(folder: Path | None) -> AbstractContextManager[None]:
    """Claim an output folder unless it is None. Raises `MaskRCNNError` if it is in use or cannot be written to."""
    return _warned(nullcontext([]) if folder is None else claim_folder(folder))


def own_file(path: Path | str | None) -> AbstractContextManager[None]:
    """As `own_folder` for an output file; "-" is standard output."""
    return _warned(nullcontext([]) if path is None or path == "-" else claim_file(path))


@contextmanager
def _warned(claim: AbstractContextManager[list[str]]) -> Iterator[None]:
    with claim as notes:
        for line in notes:
            warn(line)
        yield
