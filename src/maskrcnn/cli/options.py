"""Arguments and options that several verbs share, and what a shell completes for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from maskrcnn.cli.completion import model_names, offer, split_names


def one_of(*words: str) -> Any:
    """An option that takes one of some words, which the shell completes."""
    return typer.Option(help=f"{', '.join(words[:-1])} or {words[-1]}.", autocompletion=offer(words))


# The formats of labelled data, here again so that the help needs none of their readers.
DATA_FORMATS = ("coco", "lvis", "yolo", "labelme", "cvat", "voc", "idmask", "binmask")
SOURCES_HELP = "Images: files, folders, patterns or URLs."
_DATA_HELP = "Folder (or .json, .yaml) with images and labels; its format is detected."
_MODEL_HELP = "Bundled or catalog name (see `maskrcnn models`)"

Sources = Annotated[list[str], typer.Argument(metavar="SOURCE", help=SOURCES_HELP)]
Data = Annotated[Path, typer.Argument(metavar="DATA", help=_DATA_HELP)]
MaybeData = Annotated[Path | None, typer.Argument(metavar="DATA", help=_DATA_HELP)]
Model = Annotated[
    str, typer.Option(help=f"{_MODEL_HELP}, a checkpoint, or an exported model.", autocompletion=model_names)
]
TrainedModel = Annotated[
    str, typer.Argument(metavar="MODEL", help=f"{_MODEL_HELP}, or a checkpoint.", autocompletion=model_names)
]
Device = Annotated[str, one_of("auto", "cpu", "cuda", "mps")]
Precision = Annotated[str, one_of("auto", "fp32", "bf16", "fp16")]
Score = Annotated[float, typer.Option(min=0, max=1, help="Leave out objects below this score.")]
Size = Annotated[
    int | None, typer.Option(help="Shortest edge of the network input in pixels; the model's own unless given.")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Open a .pt2, which can run any code: for files of people you trust.")
]
MaxDetections = Annotated[
    int | None, typer.Option(min=1, help="Most objects in an image (maxDets); the model's own limit unless given.")
]
Split = Annotated[
    str | None,
    typer.Option(help="Which part of the data; train unless given, if there is one.", autocompletion=split_names),
]
Seed = Annotated[int, typer.Option(min=0, help="Equal seeds give equal results.")]
Link = Annotated[bool, typer.Option("--link/--copy", help="Link the image files instead of copying them.")]
JsonFile = Annotated[
    str | None, typer.Option("--json", help="Also write all results to this file, as JSON; - for standard output.")
]


def output(help: str) -> Any:
    """The option --out of a verb, with what is written there."""
    return typer.Option("--out", help=help)
