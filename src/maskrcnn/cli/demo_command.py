"""`maskrcnn demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskrcnn.cli.console import paragraph
from maskrcnn.cli.options import Device, output
from maskrcnn.cli.progress import TerminalDisplay


def demo(folder: Annotated[Path, output("Where the pictures go.")] = Path("demo-out"), device: Device = "auto") -> None:
    """Try the bundled models on real photos; nothing is downloaded."""
    from maskrcnn.verbs.demo import STAINS
    from maskrcnn.verbs.demo import demo as run

    found = run(folder, device, display=TerminalDisplay())
    paragraph(STAINS, indent=0)
    raise typer.Exit(found.exit_code)
