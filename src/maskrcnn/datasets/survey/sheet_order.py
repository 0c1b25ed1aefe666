"""Which images a contact sheet shows first. Apart from the sheet, so that the command's help needs nothing else."""

from __future__ import annotations

from typing import Literal

SheetOrder = Literal["random", "smallest", "most-objects"]
