"""Each command has its function with the same parameters and defaults; what differs is listed here, with its reason."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

import maskrcnn
from maskrcnn.cli.main import app
from maskrcnn.training.recipe import Recipe

# The function of a command of `maskrcnn dataset` says whose verb it is.
FUNCTIONS = {
    "dataset split": "split_dataset",
    "dataset convert": "convert_dataset",
    "dataset stats": "dataset_stats",
    "dataset view": "view_dataset",
}
# Parameters that only a command has.
COMMAND_ALONE = {
    "json_out": "what is returned has to_json or to_dict",
    "env": "maskrcnn.environment() returns it",
    "settings": "help(maskrcnn.train) lists them",
    "assignments": "each setting is a keyword",
}
# Parameters that only a function has.
FUNCTION_ALONE = {
    "display": "the terminal is the display of a command",
    "keep": "a command never holds the results",
    "advance": "was there before; called after each image",
    "analyse": "was there before; a report needs it",
}
# Defaults that differ: where results are returned, files are written only where a place is given.
RETURNED = {
    ("predict", "folder"),
    ("evaluate", "folder"),
    ("demo", "folder"),
    ("dataset view", "path"),
    ("doctor", "data"),  # may be left out with --env alone
}


def commands() -> Iterator[tuple[str, Callable[..., None]]]:
    for group, prefix in ((app, ""), *((one.typer_instance, f"{one.name} ") for one in app.registered_groups)):
        assert group is not None
        for command in group.registered_commands:
            assert command.callback is not None
            yield f"{prefix}{command.name}", command.callback()


COMMANDS = dict(commands())


def plain(default: Any) -> Any:
    """A default as one compares it: a path is its text."""
    return str(default) if isinstance(default, Path) else default


def function_of(command: str) -> Callable[..., Any]:
    return getattr(maskrcnn, FUNCTIONS.get(command, command))


def test_every_command_has_its_function() -> None:
    shown = get_command(app)
    assert isinstance(shown, typer.core.TyperGroup)
    assert {name.split()[0] for name in COMMANDS} == set(shown.commands)
    assert len(COMMANDS) == 13
    for command in COMMANDS:
        assert FUNCTIONS.get(command, command) in maskrcnn.__all__
        assert callable(function_of(command))


@pytest.mark.parametrize("command", COMMANDS)
def test_parameters_and_defaults_are_those_of_the_command(command: str) -> None:
    theirs = dict(inspect.signature(COMMANDS[command]).parameters)
    ours = dict(inspect.signature(function_of(command)).parameters)
    settings = set(Recipe.model_fields) if command == "train" else set()
    assert set(theirs) - set(COMMAND_ALONE) - settings == set(ours) - set(FUNCTION_ALONE) - settings
    for name, parameter in theirs.items():
        if name not in ours or name in settings or (command, name) in RETURNED:
            continue
        assert plain(ours[name].default) == plain(parameter.default), name


def test_train_takes_every_setting_and_shows_its_default() -> None:
    ours = inspect.signature(maskrcnn.train).parameters
    options = set(inspect.signature(COMMANDS["train"]).parameters) & set(Recipe.model_fields)
    assert len(options) > 10
    text = " ".join((maskrcnn.train.__doc__ or "").split())
    for name, field in Recipe.model_fields.items():
        assert ours[name].default == field.get_default(call_default_factory=True)
        assert f"{name} = " in text
        assert " ".join(str(field.description).split()) in text


def test_the_list_of_differences_holds_nothing_that_is_the_same() -> None:
    for command, name in RETURNED:
        theirs, ours = (inspect.signature(one).parameters[name] for one in (COMMANDS[command], function_of(command)))
        assert plain(theirs.default) != plain(ours.default)
    used = {name for command in COMMANDS for name in inspect.signature(COMMANDS[command]).parameters}
    assert set(COMMAND_ALONE) <= used
    used = {name for command in COMMANDS for name in inspect.signature(function_of(command)).parameters}
    assert set(FUNCTION_ALONE) <= used


def test_names_stay_functions_whatever_is_imported() -> None:
    """No module of the package takes the name of a function of it."""
    names = [FUNCTIONS.get(command, command) for command in COMMANDS]
    for path in sorted((Path(maskrcnn.__file__).parent).rglob("*.py")):
        parts = path.relative_to(Path(maskrcnn.__file__).parent).with_suffix("").parts
        assert parts[0] not in names, path
    for module in (
        "training.trainer",
        "exporting.exporter",
        "benchmarking.speed",
        *(f"verbs.{name}" for name in names),
    ):
        importlib.import_module(f"maskrcnn.{module}")
    for name in names:
        assert inspect.isfunction(getattr(maskrcnn, name)), name


def test_the_package_is_imported_at_once_and_lists_its_names() -> None:
    code = (
        "import sys, time; start = time.process_time(); import maskrcnn; spent = time.process_time() - start;"
        "assert not {'torch', 'numpy', 'pydantic', 'IPython'} & set(sys.modules), sys.modules.keys();"
        "assert {'train', 'predict', 'doctor', '__version__'} <= set(dir(maskrcnn)); print(spent)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.1
