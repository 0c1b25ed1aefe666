"""The version of the package, which artifacts, checkpoints and reports carry, and those of packages beside it."""

from __future__ import annotations

VERSION = "0.2.0.dev0"


def installed_version(name: str) -> str:
    """The version of an installed package, which is not imported for it."""
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
