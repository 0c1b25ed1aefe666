"""What a run begins with: random weights, the default (``init: auto``) and the best by hand, at equal steps.

    python benchmarks/starts.py ../shared/data --out starts.jsonl          # goes on where it stopped
    python benchmarks/starts.py ../shared/data --out starts.jsonl --images 10 50
    python benchmarks/starts.py ../shared/data --out starts.jsonl --table

Each run makes so many steps of 4 images on a canvas of 320 pixels, is measured once, at its end, and adds a line to the
results. Data, seeds, steps and pixels are the same for all three; by hand, the start and the settings in `BY_HAND` are
others. pennfudan, which has no val split, is divided in `small_sets.py`. Two rows measure how weights are kept and not
what they transfer: `nuclei` was trained on the train split of nuclei, and `people` on all of pennfudan, the images that
are measured here among them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from small_sets import SETS, open_small_set

from maskrcnn.training.preparation import prepare
from maskrcnn.training.recipe import read_recipe
from maskrcnn.training.run_log import NoDisplay
from maskrcnn.training.trainer import Trainer

# The better of the two bundled models in short runs, and what is known of the images.
BY_HAND: dict[str, dict[str, Any]] = {
    "balloon": {"init": "nuclei"},
    "pennfudan": {"init": "people"},
    "mushroom": {"init": "nuclei", "turns": True},
    "nuclei": {"init": "nuclei", "lr": 5e-4, "turns": True},
}
STARTS = ("scratch", "auto", "by hand")


class Cell(NamedTuple):
    """One run: the data, images to train on (0: all), where from, and the seed."""

    data: str
    images: int
    start: str
    seed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path("starts.jsonl"))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--images", type=int, nargs="+", default=[0], help="images to train on; 0 for all")
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=STARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of all runs")
    parser.add_argument("--table", action="store_true", help="print what was measured and stop")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    if arguments.table:
        print("\n".join(table([row for row in rows if not row["changes"]])))
        return
    pairs = (setting.partition("=") for setting in arguments.set)
    changes = {name: yaml.safe_load(value) for name, _, value in pairs}
    done = {(Cell(**row["cell"]), row["steps"], json.dumps(row["changes"])) for row in rows}
    # Seed by seed, so that a run that is stopped has measured all contenders equally often.
    for seed in arguments.seeds:
        for images in arguments.images:
            for data in arguments.sets:
                for start in arguments.starts:
                    cell = Cell(data, images, start, seed)
                    if (cell, arguments.steps, json.dumps(changes)) not in done:
                        row = measure(arguments.root, cell, arguments.steps, changes)
                        print(json.dumps(row), flush=True)
                        with arguments.out.open("a") as file:
                            file.write(f"{json.dumps(row)}\n")


def measure(root: Path, cell: Cell, steps: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Train and evaluate one run; AP in percent."""
    train, val = open_small_set(root, cell.data, cell.images or None)
    settings = {"scratch": {"init": "none"}, "auto": {}, "by hand": BY_HAND[cell.data]}[cell.start]
    common = {"batch_size": 4, "canvas": 320, "epochs": steps * 4 / len(train), "evaluations": 1, "seed": cell.seed}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(read_recipe(None, common | settings | changes), train, val, Path(folder), NoDisplay(), "cpu")
        run = Trainer(prepared).run()
    return {
        "cell": cell._asdict(),
        "steps": steps,
        "changes": changes,
        "mask_AP": run.best.get("mask_AP"),
        "box_AP": run.best.get("box_AP"),
        "init": prepared.recipe.init,
        "precision": prepared.precision,
        "train_s": round(run.seconds, 1),
        "whole_s": round(time.monotonic() - started, 1),
    }


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Mask AP as a Markdown table: mean over the seeds, ± half of largest less smallest."""
    yield "| data | images | steps | scratch | `init: auto` | chosen | by hand | settings by hand |"
    yield "|---|---|---|---|---|---|---|---|"
    kinds = dict.fromkeys((row["cell"]["data"], row["cell"]["images"], row["steps"]) for row in rows)
    for data, images, steps in sorted(kinds, key=lambda kind: (SETS.index(kind[0]), kind[1] or 10**9, kind[2])):
        cells, chosen = {}, ""
        for start in STARTS:
            of = (data, images, steps, start)
            found = [row for row in rows if (*_kind(row), row["cell"]["start"]) == of]
            cells[start] = _summary([row["mask_AP"] for row in found])
            if start == "auto":
                chosen = ", ".join(sorted({row["init"] for row in found}))
        by_hand = ", ".join(f"{name} {value}" for name, value in BY_HAND[data].items())
        measured = cells["scratch"], cells["auto"], chosen, cells["by hand"]
        yield f"| {data} | {images or 'all'} | {steps} | {' | '.join(measured)} | {by_hand} |"


def _kind(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["cell"]["data"], row["cell"]["images"], row["steps"]


def _summary(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{statistics.mean(values):.1f} ± {(max(values) - min(values)) / 2:.1f} ({len(values)})"


if __name__ == "__main__":
    main()
