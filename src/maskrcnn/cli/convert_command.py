"""`maskrcnn convert SRC DST`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.console import say, show_report, show_table
from maskrcnn.cli.options import comma_separated
from maskrcnn.cli.output_claim import own_file
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from maskrcnn.weights.load_report import LoadReport

PARTS = ("backbone", "fpn", "rpn", "box_head", "mask_head")


def convert(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A name, or a checkpoint of detectron2, mmdetection, torchvision.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The .safetensors to write.")],
    names: Annotated[
        str | None, typer.Option(help="Class names in the order of the outputs: a,b,c. No background.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="detectron2's yaml of the run, or a yaml of model settings that the file lacks.")
    ] = None,
) -> None:
    """Convert a checkpoint of another library to maskrcnn's format.

    Reports which parameters matched, which did not, and what was assumed.
    """
    if target.suffix != ".safetensors":
        raise MaskRCNNError(f"expected a file ending in .safetensors, found {target.name!r}", where=target)
    from maskrcnn.weights.checkpoint import save_checkpoint
    from maskrcnn.weights.load import load_model

    given = comma_separated([names]) if names is not None else None
    with own_file(target):
        model, report = load_model(source, given, config)
        keys = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
        show_table(rows(keys, report), "parameters", totals=1)
        show_report(report)
        save_checkpoint(model, target, report.provenance)
    say(f"{plural(len(model.names), 'class')} → {target}")


def rows(keys: Sequence[str], report: LoadReport) -> Iterator[tuple[object, ...]]:
    """How many parameters of each part of the model were in the file, and how many of the file's were not used."""
    missing = {key for key, _ in report.reinitialised}
    yield ("part", "matched", "not in the file")
    for part in PARTS:
        of_part = [key for key in keys if key.startswith(f"{part}.")]
        lacking = sum(key in missing for key in of_part)
        yield (part.replace("_", " "), len(of_part) - lacking, lacking)
    yield ("of the file, not used", len(report.unused), "")
