"""A verb with its arguments, as it is typed in a shell and as it is called in Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskrcnn.text import shell_word, visible

_FUNCTIONS = {"dataset view": "view_dataset"}
# Arguments that are typed without an option, and those whose option is named otherwise.
_POSITIONAL = ("data", "sources")
_OPTIONS = {"folder": "--out", "path": "--out"}
# Arguments of `train` that have an option of their own; `--set` takes any other setting.
_TRAIN_OPTIONS = (*_POSITIONAL, "folder", "init", "minutes", "patience")


@dataclass(frozen=True)
class VerbCall:
    """One verb with its arguments.

    Attributes:
        shell: the command line; "" if it holds characters that a terminal hides or interprets.
        python: the same in Python, one or more lines.
    """

    shell: str
    python: str


def verb_call(verb: str, *arguments: Any, **named: Any) -> VerbCall:
    """The call of a verb, such as "dataset view".

    Args:
        arguments: (name, value) of those that Python takes by position, with their names.
        named: those that Python takes by name. Without a value (None, False) an argument is left out.
    """
    given = {name: value for name, value in (*arguments, *named.items()) if value is not None and value is not False}
    words = [word for name in _POSITIONAL if name in given for word in _operands(given[name])]
    rest = {name: value for name, value in given.items() if name not in _POSITIONAL}
    if verb == "train":
        settings = [name for name in rest if name not in _TRAIN_OPTIONS]
        assignments = [f"{name}={_setting(rest.pop(name))}" for name in settings]
        options = [*map(_option, rest.items()), *(_option(("set", text)) for text in assignments)]
    else:
        options = [*map(_option, rest.items())]
    line = " ".join(("maskrcnn", verb, *words, *options))
    first = [_literal(given[name]) for name, _ in arguments if name in given]
    keywords = [f"{name}={_literal(value)}" for name, value in named.items() if name in given]
    return VerbCall(_typed(line), f"maskrcnn.{_FUNCTIONS.get(verb, verb)}({', '.join([*first, *keywords])})")


def with_file(name: str, content: Mapping[str, Any], call: VerbCall) -> VerbCall:
    """A call after a file of YAML has been written, in the folder where it is made."""
    text = json.dumps(content, ensure_ascii=False)  # YAML has JSON as a part
    written = f"printf '%s\\n' {shell_word(text)} > {shell_word(name)}"
    python = f'import pathlib\n\npathlib.Path({_literal(name)}).write_text({_literal(text)}, encoding="utf-8")'
    return VerbCall(_typed(f"{written} && {call.shell}") if call.shell else "", f"{python}\n{call.python}")


def _operands(value: str | list[str]) -> list[str]:
    """Paths as words; none looks like an option or a home folder."""
    paths = [value] if isinstance(value, str) else value
    return [shell_word(f"./{path}" if path.startswith(("-", "~")) else path) for path in paths]


def _option(argument: tuple[str, Any]) -> str:
    """An option with its value; one that begins with a dash is joined to it."""
    name, value = argument
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    if value is True:
        return option
    text = str(value)
    return f"{option}={shell_word(text)}" if text.startswith("-") else f"{option} {shell_word(text)}"


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _literal(value: Any) -> str:
    """A value as Python code, text in double quotes where that needs no escapes."""
    plain = isinstance(value, str) and not set(value) & set('"\\') and value.isprintable()
    return f'"{value}"' if plain else repr(value)


def _typed(line: str) -> str:
    """A command line, or nothing if it cannot be shown as it must be typed."""
    return line if visible(line) == line else ""
