"""`maskrcnn dataset convert`, `split`, `stats` and `view`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskrcnn.cli.console import say, show_problems, show_table, warn
from maskrcnn.cli.options import Data
from maskrcnn.cli.output_claim import own_file, own_folder
from maskrcnn.cli.progress import bar
from maskrcnn.errors import SOME_SKIPPED, MaskRCNNError
from maskrcnn.text import plural, suggestion

if TYPE_CHECKING:
    from maskrcnn.annotations.problem import Problem
    from maskrcnn.datasets.dataset import Dataset
    from maskrcnn.datasets.formats.registry import DataFormat

app = typer.Typer(help="Look at data sets, split and convert them.", no_args_is_help=True)

Split = Annotated[str | None, typer.Option(help="Which part of the data; train unless given, if there is one.")]


class Sort(str, Enum):
    """Which images a contact sheet shows first."""

    random = "random"
    smallest = "smallest"
    most_objects = "most-objects"


@app.command()
def split(
    data: Data,
    folder: Annotated[Path, typer.Argument(metavar="DST", help="New folder for the split data.")],
    val: Annotated[float, typer.Option(min=0, max=1, help="Share of the images to validate on.")] = 0.2,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of the images to test on.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="A seed gives the same split again.")] = 0,
    merge: Annotated[bool, typer.Option("--merge", help="Pool data that is split already, and split anew.")] = False,
    form: Annotated[
        str | None, typer.Option("--format", help="Format of the new data; that of the old unless given.")
    ] = None,
    link: Annotated[bool, typer.Option("--link/--copy", help="Link the image files instead of copying them.")] = False,
    similar: Annotated[
        float, typer.Option(min=0.3, max=1, help="From which similarity on images stay together; 1 for equal ones.")
    ] = 0.55,
) -> None:
    """Divide data into train, val and test.

    Near-duplicates stay together, and rare classes reach every part.
    """
    from maskrcnn.datasets.combine import combined
    from maskrcnn.datasets.conversion.conversion import convert as write
    from maskrcnn.datasets.source import Source
    from maskrcnn.datasets.survey.split import plan_split, subset
    from maskrcnn.output.unfinished import is_free

    source = Source(data)
    if len(source.splits) > 1 and not merge:
        raise MaskRCNNError(
            f"the data is already split into {', '.join(source.splits)}",
            where=data,
            fix="add --merge to pool and split anew",
        )
    if not is_free(folder):
        raise MaskRCNNError("expected an empty folder", where=folder, fix="choose another one")
    target = source.format if form is None else _format(form)
    parts = [source.open(name) for name in source.splits]
    whole = parts[0] if len(parts) == 1 else combined(parts)
    asked = {"train": round(1 - val - test, 9), "val": val, "test": test}
    shares = {name: share for name, share in asked.items() if share}
    if len(shares) < 2:
        raise MaskRCNNError("expected shares for two parts at least", fix="for instance --val 0.2")
    with own_folder(folder):
        with bar("compare", len(whole)) as advance:
            plan = plan_split(whole, shares, seed, similar, advance)
        chosen = {name: subset(whole, indices) for name, indices in plan.parts.items()}
        with bar("write", len(whole)) as advance:
            done = write(chosen, folder, target, link, advance=advance)
    copies = [group for group in plan.groups if len(group) > 1]
    if copies:
        groups = plural(len(copies), "group")
        say(f"near-duplicates stay together: {plural(sum(map(len, copies)), 'image')}, {groups}")
    show_table(plan.table())
    for line in plan.missing_classes():
        warn(line)
    say(f"{target.title} → {folder}")
    _finish(whole.problems, plan.problems, done.problems, done.omissions)


@app.command()
def stats(
    data: Data,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Also write plots, an HTML page, JSON and a recipe here.")
    ] = None,
    split: Split = None,
    preset: Annotated[str, typer.Option(help="Model that the advice starts from.")] = "lite",
    init: Annotated[str | None, typer.Option(help="Instead: the trained model that the advice starts from.")] = None,
) -> None:
    """Count and measure the objects.

    Says what follows for input size, anchors, limits and the training canvas.
    """
    from maskrcnn.config import preset as preset_named
    from maskrcnn.datasets.survey.survey import survey_dataset
    from maskrcnn.datasets.survey.survey_report import SurveyReport
    from maskrcnn.train.recipe import Recipe
    from maskrcnn.weights.any_checkpoint import read_any_checkpoint

    config = read_any_checkpoint(init)[0].config if init else preset_named(preset)
    dataset = _opened(data, split)
    with own_folder(folder):
        with bar("measure", len(dataset)) as advance:
            surveyed = survey_dataset(dataset, advance)
        start = ("init", init) if init else ("preset", preset)
        report = SurveyReport(str(data), surveyed, config, start, Recipe.model_fields["canvas"].default)
        files = report.write(folder) if folder else ()
    say(report.headline())
    show_table(report.quantile_rows())
    if len(dataset.names) > 1:
        show_table(report.class_rows())
    if report.suggestions:
        rows = list(report.suggestion_rows())
        show_table(rows, words=len(rows[0]))
        say(report.command())
    else:
        say("There are no objects to derive settings from.")
    for path in files:
        say(f"→ {path}")
    _finish(dataset.problems, surveyed.problems)


@app.command()
def view(
    data: Data,
    path: Annotated[Path, typer.Option("--out", help="PNG or JPEG; further pages are numbered.")] = Path("sheet.png"),
    images: Annotated[int, typer.Option(min=1, help="How many images to show.")] = 16,
    split: Split = None,
    sort: Annotated[Sort, typer.Option(help="Which images to show first.")] = Sort.random,
    seed: Annotated[int, typer.Option(min=0, help="Of the random choice.")] = 0,
    classes: Annotated[list[str] | None, typer.Option(help="Show only these classes: cat,dog.")] = None,
    index: Annotated[list[str] | None, typer.Option(help="Show these images: ids or file names, 3,7.")] = None,
    columns: Annotated[int, typer.Option(min=1, max=12, help="Images side by side.")] = 4,
    rows: Annotated[int, typer.Option(min=1, max=12, help="Rows on a page.")] = 4,
) -> None:
    """Draw contact sheets.

    They show images with their masks, outlines and class names.
    """
    from maskrcnn.datasets.survey.contact_sheet import (
        ContactSheets,
        check_suffix,
        choose_images,
        find_images_by_id,
        save_pages,
    )
    from maskrcnn.datasets.survey.survey import survey_dataset

    check_suffix(path)
    dataset = _opened(data, split)
    with own_file(path):
        labels = _labels(_words(classes, dataset.names), dataset) if classes else None
        if index:
            chosen = find_images_by_id(dataset, _words(index, ()))
        else:
            surveyed = None
            if labels is not None or sort is not Sort.random:
                with bar("measure", len(dataset)) as advance:
                    surveyed = survey_dataset(dataset, advance)
            chosen = choose_images(dataset, images, sort.value, seed, labels, surveyed)
        if not chosen:
            raise MaskRCNNError("no image to show", where=data, fix="choose other classes, or add images")
        sheets = ContactSheets(dataset, chosen, labels, columns, rows)
        with bar("draw", len(sheets)) as advance:
            for page in save_pages(sheets, path):
                say(f"→ {page}")
                advance()
    say(f"{len(chosen):,} of {plural(len(dataset), 'image')}")
    _finish(dataset.problems, sheets.problems)


def _format(name: str) -> DataFormat:
    from maskrcnn.datasets.formats.registry import BY_NAME

    if name not in BY_NAME:
        raise MaskRCNNError(f"unknown format {name!r}", fix=suggestion(name, BY_NAME))
    return BY_NAME[name]


@app.command()
def convert(
    data: Data,
    folder: Annotated[Path, typer.Argument(metavar="DST", help="Folder of the new data set.")],
    to: Annotated[str, typer.Option("--format", help="coco, lvis, yolo, labelme, cvat, voc, idmask or binmask.")],
    split: Annotated[
        list[str] | None, typer.Option(help="Part to convert; may be given several times. All unless given.")
    ] = None,
    link: Annotated[bool, typer.Option("--link/--copy", help="Link the image files instead of copying them.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Write a data set in another format.

    Says in one line each what that format cannot hold.
    """
    from maskrcnn.datasets.conversion.conversion import convert as write
    from maskrcnn.datasets.source import Source

    form, source = _format(to), Source(data)
    datasets = {name: source.open(name) for name in split or source.splits}
    with own_folder(folder), bar("convert", sum(map(len, datasets.values()))) as advance:
        done = write(datasets, folder, form, link, force, advance)
    for name, written in done.splits.items():
        crowd = f", {plural(written.crowd, 'crowd region')}" if written.crowd else ""
        images, objects = plural(written.images, "image"), plural(written.objects, "object")
        say(f"{name or 'all'}: {images}, {objects}{crowd}")
    say(f"{form.title} → {folder}")
    _finish(done.problems, done.omissions)


def _opened(data: Path, split: str | None) -> Dataset:
    from maskrcnn.datasets.source import Source

    source = Source(data)
    return source.open_or_whole("train")[1] if split is None else source.open(split)


def _words(values: Sequence[str], known: Sequence[str]) -> list[str]:
    """Comma-separated words; a known name may hold commas."""
    return [word for value in values for word in ([value] if value in known else value.split(","))]


def _labels(words: Sequence[str], dataset: Dataset) -> set[int]:
    for word in words:
        if word not in dataset.names:
            raise MaskRCNNError(f"the data has no class {word!r}", fix=suggestion(word, dataset.names, 8))
    return {dataset.names.index(word) for word in words}


def _finish(*problems: Iterable[Problem]) -> None:
    """Show all problems; exit code 1 if something was lost."""
    if show_problems(chain(*problems)):
        raise typer.Exit(SOME_SKIPPED)
