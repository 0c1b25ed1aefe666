"""The course of a run as a CSV file: a row each second, and one for each evaluation."""

from __future__ import annotations

import csv
from pathlib import Path

from maskrcnn.model.losses import Losses

COLUMNS = ("step", "seconds", "lr", *Losses._fields, "mask_AP")


class History:
    """Appends rows to a new file; a context manager that closes it."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", newline="", encoding="utf-8")
        self.rows = csv.DictWriter(self.file, COLUMNS, restval="")
        self.rows.writeheader()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def write(
        self,
        step: int,
        seconds: float,
        lr: float | None = None,
        losses: dict[str, float] | None = None,
        mask_ap: float | None = None,
    ) -> None:
        """One row; what is not given stays empty."""
        row = {"step": step, "seconds": round(seconds, 1), "lr": lr, **(losses or {}), "mask_AP": mask_ap}
        self.rows.writerow({name: value for name, value in row.items() if value is not None})
        self.file.flush()
