"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Trust = Annotated[
    bool,
    typer.Option("--trust", help="Open a .pt2, which can run any code: for files of people you trust."),
]
