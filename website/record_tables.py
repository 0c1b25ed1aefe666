"""Tables made of records of the program: the settings of a training run and of a model, and the doctor's checks."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from typing import Any

from maskrcnn.config import PRESETS, Config, Preprocess
from maskrcnn.datasets.doctor.checks import CHECKS
from maskrcnn.training.recipe import Recipe

_LIMITS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


def record_pages() -> dict[str, str]:
    """The text of each page by its path."""
    return {
        "reference/recipe.md": _recipe_page(),
        "reference/model-settings.md": _model_page(),
        "reference/checks.md": _checks_page(),
    }


def _recipe_page() -> str:
    rows = ["| setting | default | values | |", "|---|---|---|---|"]
    schemas = Recipe.model_json_schema()["properties"]
    for name, setting in Recipe.model_fields.items():
        default = _value(setting.get_default(call_default_factory=True))
        rows.append(f"| `{name}` | `{default}` | {_allowed(schemas[name])} | {table_cell(str(setting.description))} |")
    return _RECIPE + "\n".join(rows) + "\n"


def _allowed(schema: dict[str, Any]) -> str:
    """What a JSON schema allows, in a few words."""
    if kinds := schema.get("anyOf"):
        return " or ".join(_allowed(kind) for kind in kinds if kind.get("type") != "null")
    if words := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return ", ".join(f"`{word}`" for word in words)
    if schema.get("type") == "array":
        parts = schema.get("prefixItems", [])
        return f"{len(parts)} of {_allowed(parts[0])}" if parts else f"list of {_allowed(schema['items'])}"
    kind = {"integer": "whole number", "string": "text", "object": "names with values", "boolean": "true or false"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in _LIMITS.items() if key in schema]
    step = [f"multiple of {schema['multipleOf']}"] if "multipleOf" in schema else []
    return ", ".join([kind.get(schema["type"], schema["type"]), *limits, *step])


def _model_page() -> str:
    heads = "".join(f" `{name}` |" for name in PRESETS)
    parts = [_MODEL]
    for title, kind in (("The network", Config), ("From image to input: `preprocess`", Preprocess)):
        notes, rows = _comments(kind), [f"| setting | |{heads}", "|---|---|" + "---|" * len(PRESETS)]
        for field in dataclasses.fields(kind):
            if field.name in ("preprocess", "preset"):
                continue
            owners = [config if kind is Config else config.preprocess for config in PRESETS.values()]
            values = "".join(f" `{_value(getattr(owner, field.name))}` |" for owner in owners)
            rows.append(f"| `{field.name}` | {table_cell(notes.get(field.name, ''))} |{values}")
        parts.append(f"## {title}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _comments(kind: type) -> dict[str, str]:
    """The comment behind each field of a record."""
    return dict(re.findall(r"^    (\w+): [^#\n]*#\s*(.*)$", inspect.getsource(kind), re.MULTILINE))


def _value(value: Any) -> str:
    """A value as a recipe writes it, with at most four digits."""
    return re.sub(r"\d+\.\d{4,}", lambda digits: f"{float(digits[0]):.4g}", json.dumps(value))


def _checks_page() -> str:
    rows = ["| check | severity | what it means | what to do | `--fix` mends it |", "|---|---|---|---|---|"]
    for check in CHECKS.values():
        parts = (f"`{check.id}`", check.severity, table_cell(check.about), table_cell(check.fix), "yes" * check.fixable)
        rows.append("".join(f"| {part} " for part in parts) + "|")
    return _CHECKS + "\n".join(rows) + "\n"


def table_cell(text: str) -> str:
    """Text that may stand in a cell of a Markdown table."""
    return text.replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*").replace("_background_", "`_background_`")


_RECIPE = """# Settings of a training run

Each is a line of a recipe (`--recipe FILE.yaml`) or `--set name=value` on the command line; the frequent ones are
options of [`maskrcnn train`](cli/train.md), which lists all of them with `maskrcnn train --settings`.

"""
_MODEL = """# Settings of a model

A checkpoint carries all of them, so that a model is the same everywhere. To change some for a training run:
`maskrcnn train DATA --set 'model={"max_detections": 400}'`. Lengths are pixels of the network input. There is a column
for each preset.

"""
_CHECKS = """# The doctor's checks

All that `maskrcnn doctor` and the readers of data look for. The names are stable and stand in `--json`. How to work
with them: [Fix a data set with the doctor](../howto/doctor.md).

"""
