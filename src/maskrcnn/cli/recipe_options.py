"""The options of `maskrcnn train` that are settings of a recipe; descriptions and defaults come from `Recipe`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, get_type_hints

import typer

from maskrcnn.cli.completion import Completion, literals, model_names, offer, preset_names
from maskrcnn.errors import MaskRCNNError
from maskrcnn.training.recipe import AUTO, SCRATCH, Recipe, given

# Descriptions that begin with one of these values keep its case.
_VALUES = ("auto", "adamw")


@dataclasses.dataclass(frozen=True)
class RecipeOptions:
    """Settings with an option of their own, under their names in `Recipe`; None where the option is not given.

    A new option needs one line here. All other settings are given with ``--set name=value``.
    """

    preset: str | None = None
    init: str | None = None
    backbone_weights: str | None = None
    minutes: float | None = None
    epochs: float | None = None
    batch_size: str | None = None
    accumulate: int | None = None
    canvas: str | None = None
    lr: float | None = None
    optimizer: str | None = None
    precision: str | None = None
    evaluations: int | None = None
    patience: int | None = None
    workers: int | None = None
    seed: int | None = None
    track: list[str] | None = None

    def changes(self, assignments: Sequence[str]) -> dict[str, Any]:
        """The given settings by name, for `read_recipe`; those of ``--set name=value`` win.

        Raises:
            MaskRCNNError: an assignment is not of that form.
        """
        options = {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, [])}
        return given(options | dict(map(_assigned, assignments)))


def with_recipe_options(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb as the command line calls it: an option for each field of `RecipeOptions` in place of ``options``."""

    @functools.wraps(verb)
    def command(**values: Any) -> None:
        options = {field.name: values.pop(field.name) for field in dataclasses.fields(RecipeOptions)}
        verb(options=RecipeOptions(**options), **values)

    command.__signature__ = inspect.Signature(list(_command_parameters(verb)))  # type: ignore[attr-defined]
    return command


def _command_parameters(verb: Callable[..., None]) -> Iterator[inspect.Parameter]:
    of_recipe = get_type_hints(RecipeOptions)
    # Not get_type_hints(verb): in Python 3.10 that makes Optional[Annotated[…]] of what defaults to None.
    for name, parameter in inspect.signature(verb, eval_str=True).parameters.items():
        if name == "options":
            for setting, kind in of_recipe.items():
                option = typer.Option(help=_help(setting), show_default=False, autocompletion=_completion(setting))
                annotation = Annotated[kind, option]  # type: ignore[valid-type]
                yield inspect.Parameter(setting, parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        else:
            yield parameter.replace(kind=parameter.KEYWORD_ONLY)


def _starts(incomplete: str) -> list[str]:
    """What ``init`` takes, but for files."""
    return [*offer((AUTO, SCRATCH))(incomplete), *model_names(incomplete)]


def _completion(setting: str) -> Completion:
    words = literals(Recipe.model_fields[setting].annotation)
    return {"preset": preset_names, "init": _starts}.get(setting, offer(words))


def _help(setting: str) -> str:
    field = Recipe.model_fields[setting]
    text, default = str(field.description), field.get_default(call_default_factory=True)
    if not text.startswith(_VALUES):
        text = text[0].upper() + text[1:]
    return f"{text}." if default in (None, ()) else f"{text}.  [default: {default}]"


def _assigned(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise MaskRCNNError(f"--set {text}: expected name=value")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):  # not JSON: `Recipe` checks the text under its name
        return name, value
