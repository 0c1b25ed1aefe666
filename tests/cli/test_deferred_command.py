"""What lists show of a command is what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from maskrcnn.cli import main as cli
from maskrcnn.cli.deferred_command import DeferredCommand

ROOT: Any = typer.main.get_command(cli.app)
LISTS = [(ROOT.commands, cli.COMMANDS), (ROOT.commands["dataset"].commands, cli.DATASET_COMMANDS)]


@pytest.mark.parametrize(("commands", "first_lines"), LISTS, ids=["root", "dataset"])
def test_listed_lines_are_those_of_the_commands(commands: Mapping[str, Any], first_lines: Mapping[str, str]) -> None:
    assert [name for name in commands if name != "dataset"] == list(first_lines)
    for name, line in first_lines.items():
        listed, whole = commands[name], commands[name].whole
        assert isinstance(listed, DeferredCommand)
        assert listed.name == whole.name == name
        assert whole.help.splitlines()[0] == line
        for width in (30, 45, 200):
            assert listed.get_short_help_str(width) == whole.get_short_help_str(width)


def test_a_command_is_imported_when_it_is_called() -> None:
    asked = typer.Typer(rich_markup_mode=None)
    asked.callback()(lambda: None)

    def load() -> Any:
        def greet(name: str, loud: bool = False) -> None:
            """Say hello.

            To one person.
            """
            print(f"Hello {name}{'!' if loud else ''}")

        return greet

    asked.command("greet", cls=DeferredCommand, help="Say hello.")(load)
    assert "greet  Say hello." in CliRunner().invoke(asked, ["--help"]).output
    assert CliRunner().invoke(asked, ["greet", "Ada", "--loud"]).output == "Hello Ada!\n"
    assert "To one person." in CliRunner().invoke(asked, ["greet", "--help"]).output
    assert CliRunner().invoke(asked, ["greet"]).exit_code == 2
