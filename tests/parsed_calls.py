"""Recommended verbs as a shell, the command line and Python read them; no verb runs."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from typer.main import get_command

import maskrcnn
from maskrcnn.cli.main import app
from maskrcnn.cli.recipe_options import RecipeOptions
from maskrcnn.config import preset
from maskrcnn.evaluation.verb_call import VerbCall
from maskrcnn.training.recipe import Recipe, read_recipe

Parsed = tuple[str, dict[str, Any]]
_FUNCTIONS = {"dataset view": "view_dataset"}


@functools.cache
def _command_line() -> Any:
    return get_command(app)


def words_in_shell(line: str, folder: Path) -> list[str]:
    """The words that a shell, run in a folder, hands to the last `maskrcnn` of a line."""
    script = f'maskrcnn() {{ printf "%s\\0" "$@"; }}\n{line}'
    found = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, check=True)
    assert not found.stderr
    return found.stdout.decode().split("\0")[:-1]


def parsed(words: list[str]) -> Parsed:
    """The verb, and its parameters as the command line reads them from words."""
    context: Any = _command_line().make_context("maskrcnn", list(words))
    names = []
    while hasattr(context.command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        names.append(name)
        context = command.make_context(name, rest, parent=context)
    return " ".join(names), context.params


def called(python: str) -> Parsed:
    """The function that the last line calls, and its arguments by name; the lines before it are run."""
    found: list[Parsed] = []

    def recorder(name: str) -> Any:
        def record(*arguments: Any, **named: Any) -> None:
            bound = inspect.signature(getattr(maskrcnn, name)).bind(*arguments, **named)
            found.append((name, dict(bound.arguments)))

        return record

    names = ("evaluate", "predict", "train", "doctor", "view_dataset")
    exec(python, {"maskrcnn": SimpleNamespace(**{name: recorder(name) for name in names})})
    (only,) = found
    return only


def check_call(call: VerbCall, folder: Path | None = None) -> Parsed:
    """The function and its arguments, which both forms of a call agree on; a run of `train` has an allowed recipe.

    Args:
        folder: where a shell runs the line; without it the line is split as a shell does.
    """
    function, arguments = called(call.python)
    words = shlex.split(call.shell)[1:] if folder is None else words_in_shell(call.shell, folder)
    verb, parameters = parsed(words)
    assert _FUNCTIONS.get(verb, verb) == function
    assignments = parameters.pop("assignments", None) or []
    if verb == "train":
        options = RecipeOptions(
            **{field.name: parameters.pop(field.name) for field in dataclasses.fields(RecipeOptions)}
        )
        recipe = read_recipe(None, options.changes(assignments))
        in_python = {name: arguments.pop(name) for name in list(arguments) if name in Recipe.model_fields}
        assert recipe == read_recipe(None, in_python)
        preset(recipe.preset).replace(**recipe.model)
        arguments |= in_python
    for name, value in parameters.items():
        given = arguments.get(name)
        if given is None:
            continue
        if isinstance(value, list):
            assert list(map(_path, value)) == list(map(_path, [given] if isinstance(given, str) else given))
        else:
            assert _path(value) == _path(given)
    return function, arguments


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) else value
