"""The reference of the command line, made of the program's own help."""

from __future__ import annotations

from typing import Any

import typer
from record_tables import table_cell

from maskrcnn.cli.main import app
from maskrcnn.errors import ALL_FAILED, INTERRUPTED, SOME_SKIPPED

FOLDER = "reference/cli"
_DEFAULT = "default: "


def command_pages() -> dict[str, str]:
    """The text of each page by its path: one page a verb, and one that lists them."""
    root = typer.main.get_command(app)
    with root.make_context("maskrcnn", ["--help"], resilient_parsing=True) as context:
        verbs: dict[str, Any] = root.commands  # type: ignore[attr-defined]
        pages = {f"{FOLDER}/{name}.md": _verb_page(verb, context) for name, verb in verbs.items()}
        rows = [f"| [`{name}`]({name}.md) | {_first_line(verb)} |" for name, verb in verbs.items()]
        options = _table("option", _records(root, context, "option"))
    return pages | {f"{FOLDER}/index.md": _INDEX.format(verbs="\n".join(rows), options=options, codes=_CODES)}


def _verb_page(verb: Any, parent: Any, level: int = 1) -> str:
    """Usage, arguments, options, defaults and exit codes of a verb; of a group, of each of its verbs."""
    with verb.make_context(verb.name, ["--help"], parent=parent, resilient_parsing=True) as context:
        verb = context.command  # what is listed knows only its name and first line
        title = "#" * level
        parts = [f"{title} {context.command_path}", _prose(verb.help or "")]
        parts.append(f"```text\n{' '.join([context.command_path, *verb.collect_usage_pieces(context)])}\n```")
        for kind in ("argument", "option"):
            if records := _records(verb, context, kind):
                parts.append(_table(kind, records))
        parts += [_verb_page(inner, context, level + 1) for inner in getattr(verb, "commands", {}).values()]
        if level == 1 and "Exit code" not in (verb.help or ""):
            parts.append(f"{title}# Exit codes\n\n{_CODES}")
    return "\n\n".join(parts) + "\n"


def _records(verb: Any, context: Any, kind: str) -> list[tuple[str, str]]:
    found = [p.get_help_record(context) for p in verb.get_params(context) if p.param_type_name == kind]
    return [record for record in found if record]


def _table(kind: str, records: list[tuple[str, str]]) -> str:
    rows = [f"| {kind} | | default |", "|---|---|---|"]
    for names, text in records:
        text, _, extras = text.partition("  [")
        notes = [note for note in extras.rstrip("]").split("; ") if note]
        defaults = [f"`{note.removeprefix(_DEFAULT)}`" for note in notes if note.startswith(_DEFAULT)]
        limits = [f" ({note})" for note in notes if not note.startswith(_DEFAULT)]
        rows.append(f"| `{names}` | {table_cell(''.join([text, *limits]))} | {''.join(defaults)} |")
    return "\n".join(rows)


def _prose(text: str) -> str:
    return text.replace("<", "&lt;").replace("\b", "")


def _first_line(verb: Any) -> str:
    return _prose(verb.help or "").partition("\n")[0]


_CODES = f"""| code | meaning |
|---|---|
| 0 | all was done |
| {SOME_SKIPPED} | something was skipped and named; the rest was done |
| {ALL_FAILED} | nothing could be done: wrong arguments, or no input that can be used; one line says why |
| {INTERRUPTED} | stopped by Ctrl-C; what was finished is kept |"""

_INDEX = """# The command line

```text
maskrcnn VERB …
```

| verb | |
|---|---|
{verbs}

{options}

These pages are made of the program's own `--help` when the site is built. The same verbs are
[functions in Python](../functions.md).

## Exit codes

{codes}
"""
