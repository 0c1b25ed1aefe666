"""The course of a run as a CSV file: a row a step, and one for each evaluation."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

from maskrcnn.model.losses import Losses
from maskrcnn.output.atomic_file import replacing

COLUMNS = ("step", "seconds", "lr", *Losses._fields, "grad_norm", "mask_AP", "box_AP")


class MetricsCsv:
    """Appends rows to a file.

    Args:
        after: the step to go on from: rows of later steps, which a run that was killed had not saved, are cut. 0 starts
            a new file.
    """

    def __init__(self, path: Path, after: int = 0) -> None:
        kept = [row for row in read_metrics_csv(path) if int(row["step"]) <= after] if after and path.is_file() else []
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
            rows.writeheader()
            rows.writerows(kept)
        self.file = path.open("a", newline="", encoding="utf-8")
        self.rows = csv.DictWriter(self.file, COLUMNS, restval="", extrasaction="ignore")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # told when it was written
            self.file.close()

    def write(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """One row of those values that have a column. Nine digits tell any two float32 apart."""
        row = {name: f"{value:.9g}" for name, value in values.items()}
        self.rows.writerow({"step": step, "seconds": round(seconds, 2), **row})

    def flush(self) -> None:
        """Hand what was written to the system. Raises `OSError` if it does not take it."""
        self.file.flush()


def read_metrics_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a history, by column; a last line that a kill cut short is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["step"].isdecimal() and row[COLUMNS[-1]] is not None]
