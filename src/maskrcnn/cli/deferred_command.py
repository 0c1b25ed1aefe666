"""Commands whose modules are imported when they are called, so that the list of commands comes at once."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperCommand


class DeferredCommand(TyperCommand):
    """A command as lists show it, by its name and the first line of its help; calling it imports the rest."""

    @cached_property
    def whole(self) -> Any:
        """The command with its parameters, and all of its help."""
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        assert self.callback is not None
        alone.command(self.name)(self.callback())
        return typer.main.get_command(alone)

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """A context of the whole command: what runs or completes a command begins with this."""
        return self.whole.make_context(*args, **settings)


def add_commands(app: typer.Typer, first_lines: Mapping[str, str], prefix: str = "") -> None:
    """Add commands by name; ``NAME`` is the function ``PREFIXNAME`` of ``cli/PREFIXNAME_command.py``.

    Args:
        app: where they are added.
        first_lines: the first line of each one's docstring, by name.
        prefix: what names of functions and files have before it.
    """
    for name, line in first_lines.items():
        app.command(name, cls=DeferredCommand, help=line)(_importer(prefix + name))


def _importer(function: str) -> Callable[[], Callable[..., None]]:
    def load() -> Callable[..., None]:
        command: Callable[..., None] = getattr(importlib.import_module(f"maskrcnn.cli.{function}_command"), function)
        return command

    return load
