"""Converts data sets of any format to another.

Image files are copied or linked, never encoded again. What the new format cannot express is reported in one line for
each kind; unreadable images and objects are left out and reported one by one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.annotations.objects import Drawn
from maskrcnn.annotations.problem import DataError, Problem
from maskrcnn.annotations.problem_log import ProblemLog
from maskrcnn.datasets.conversion.dataset_writer import DatasetWriter, LabelledImage
from maskrcnn.datasets.conversion.omissions import Omissions
from maskrcnn.datasets.conversion.writers import WRITERS
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.format_registry import DataFormat
from maskrcnn.datasets.formats.image_finder import alike
from maskrcnn.errors import MaskRCNNError
from maskrcnn.html_table import html_lines
from maskrcnn.images.embedded_image import embedded_image, image_suffix, is_embedded
from maskrcnn.images.image_reader import read_header
from maskrcnn.json_yaml import shown
from maskrcnn.masks.crop import Crop
from maskrcnn.output.atomic_file import make_folder, replacing, write_bytes
from maskrcnn.output.unfinished import is_free, unfinished_while
from maskrcnn.text import cut_to_bytes, plural

MAX_STEM_BYTES = 200  # of 255 that most file systems take: formats add numbers and names of their own

_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass
class Written:
    """How many images, single objects and crowd regions were written of one split."""

    images: int = 0
    objects: int = 0
    crowd: int = 0

    def count(self, objects: Sequence[Drawn]) -> None:
        """Count an image with these objects."""
        crowd = sum(drawn.annotation.crowd for drawn in objects)
        self.images += 1
        self.objects += len(objects) - crowd
        self.crowd += crowd


@dataclass(repr=False)
class Conversion:
    """The result of a conversion.

    Attributes:
        splits: what was written, by split.
        omissions: what the format cannot express, one problem for each kind.
        problems: what could not be read, and the problems of the readers.
        folder, form: of the new data.
    """

    splits: dict[str, Written]
    omissions: list[Problem]
    problems: list[Problem]
    folder: Path
    form: str

    def lines(self) -> list[str]:
        """What was written of each split, and where."""
        lines = []
        for name, written in self.splits.items():
            crowd = f", {plural(written.crowd, 'crowd region')}" if written.crowd else ""
            images, objects = plural(written.images, "image"), plural(written.objects, "object")
            lines.append(f"{name or 'all'}: {images}, {objects}{crowd}")
        return [*lines, f"{self.form} → {self.folder}"]

    def __repr__(self) -> str:
        return f"Conversion({'; '.join(self.lines())})"

    def __str__(self) -> str:
        return "\n".join([*self.lines(), *map(str, [*self.problems, *self.omissions])])

    def _repr_html_(self) -> str:
        return html_lines([*self.lines(), *self.problems, *self.omissions])


def convert(
    datasets: Mapping[str, Dataset],
    folder: str | Path,
    form: DataFormat,
    link: bool = False,
    force: bool = False,
    advance: Callable[[], object] = lambda: None,
) -> Conversion:
    """Write data sets as one of the given format; classes are merged by name.

    Args:
        datasets: split name → data set; "" for data without splits.
        folder: the new data set's; it must be empty or not exist, unless `force` allows writing among other files.
        link: make hard links to the images instead of copies, where the disk allows it.
        advance: called after each image.

    Raises:
        MaskRCNNError: the folder is not empty, holds the data itself, or cannot be written to; or the format is one
            that is read alone.
    """
    folder = Path(folder)
    if form.name not in WRITERS:
        raise MaskRCNNError(f"{form.title} is read, not written", fix=f"choose one of {', '.join(WRITERS)}")
    _check(folder, datasets, force)
    make_folder(folder)
    with unfinished_while(folder):
        return write_into(datasets, folder, form, link, advance)


def write_into(
    datasets: Mapping[str, Dataset],
    folder: Path,
    form: DataFormat,
    link: bool = False,
    advance: Callable[[], object] = lambda: None,
) -> Conversion:
    """As `convert`, into an existing folder, whatever it holds."""
    omissions = Omissions(form.title)
    called = {name: _clean(name.strip()) or "unnamed" for dataset in datasets.values() for name in dataset.names}
    names = list(dict.fromkeys(called.values()))
    place_of = {name: place for place, name in enumerate(names)}
    omissions.add("class-names", sum(name != new for name, new in called.items()))
    problems = ProblemLog(problem for dataset in datasets.values() for problem in dataset.problems)
    splits = {split: Written() for split in datasets}
    try:
        images = _ImageCopier(link, omissions)
        with WRITERS[form.name](folder, names, list(datasets), omissions) as writer:
            for split, dataset in datasets.items():
                labels = [place_of[called[name]] for name in dataset.names]
                for index, record in enumerate(dataset.records):
                    drawn, found = _readable_objects(dataset, index, images)
                    problems.add(found)
                    if drawn is not None:
                        image = images.copy(record, writer.image_folder(split))
                        objects = _writable_objects(drawn, labels, writer)
                        if not writer.takes_verdicts and (record.absent is not None or record.partial):
                            omissions.add("verdicts")
                        writer.add(LabelledImage(split, image, record, objects))
                        splits[split].count(objects)
                    advance()
            writer.close()
    except OSError as error:
        raise MaskRCNNError(f"cannot be written: {error}", where=folder, fix="check the disk and the rights") from error
    return Conversion(splits, omissions.problems(folder), list(problems), folder, form.title)


def _clean(text: str) -> str:
    """The text with characters replaced that some label files cannot hold: control characters, half surrogates."""
    return _UNWRITABLE.sub("_", text)


def _readable_objects(dataset: Dataset, index: int, images: _ImageCopier) -> tuple[list[Drawn] | None, list[Problem]]:
    """The objects of an image, None if its labels or its file are unusable; and the problems of both."""
    record, check = dataset.records[index], "unreadable-labels"
    drawn: list[Drawn] = []
    problems: list[Problem] = []
    try:
        drawn, problems = dataset.drawn(index)
        check = "unreadable-image"
        images.check(record)
        return drawn, problems
    except MaskRCNNError as error:
        check = error.check if isinstance(error, DataError) else check
        place = str(error.where or record.path)
        return None, [*problems, Problem(check, place, error.what, error.fix, "error", 1, len(drawn))]


def _check(folder: Path, datasets: Mapping[str, Dataset], force: bool) -> None:
    for split in datasets:
        if split == ".." or split != Path(split).name:
            what = f"expected names of splits that can be folders, found {shown(split)}"
            raise MaskRCNNError(what, where=folder, fix="rename the split")
    if folder.is_dir() and not is_free(folder) and not force:
        raise MaskRCNNError("expected an empty folder", where=folder, fix="choose another one, or use force")
    records = (record for dataset in datasets.values() for record in dataset.records)
    used = {file.parent for record in records for file in (record.path, record.labels) if file is not None}
    if any(place.resolve().is_relative_to(folder.resolve()) for place in used):
        raise MaskRCNNError("the data lies in the folder itself", where=folder, fix="choose another folder")


def _writable_objects(drawn: list[Drawn], labels: list[int], writer: DatasetWriter) -> list[Drawn]:
    """The objects that the format can express, with the labels of the new data set."""
    kept = []
    for annotation, crop, box in drawn:
        if annotation.crowd and not writer.takes_crowds:
            writer.omissions.add("crowd")
            continue
        if crop is None and not writer.takes_boxes:
            if not annotation.crowd:
                writer.omissions.add("box-only")
                continue
            # A crowd region without a mask is its whole box.
            x1, y1, x2, y2 = (round(side) for side in box)
            crop = Crop(np.ones((max(y2 - y1, 0), max(x2 - x1, 0)), dtype=bool), x1, y1)
        kept.append(Drawn(annotation._replace(label=labels[annotation.label]), crop, box))
    return kept


class _ImageCopier:
    """Copies or links image files into the new folders, each under a unique stem."""

    def __init__(self, link: bool, omissions: Omissions) -> None:
        self.link, self.omissions = link, omissions
        self.used_stems: dict[Path, set[str]] = {}

    def check(self, record: ImageRecord) -> None:
        """Raises `MaskRCNNError` if the image cannot be read, or has another size than its labels are for."""
        header = read_header(record.path)
        size = header.size[::-1] if header.orientation in (5, 6, 7, 8) else header.size
        if size != record.size:
            what = f"the labels are for {record.size[0]} x {record.size[1]}, the image has {size[0]} x {size[1]}"
            raise DataError("size-mismatch", what, where=record.path, fix="make both the same size")
        self.omissions.add("turned", int(header.orientation != 1))

    def copy(self, record: ImageRecord, folder: Path) -> Path:
        """The new file of an image. Raises `MaskRCNNError` or `OSError` if it cannot be written."""
        if folder not in self.used_stems:
            folder.mkdir(parents=True, exist_ok=True)
        picture = embedded_image(record.path) if is_embedded(record.path) else None
        name = record.path if picture is None else record.path.with_suffix(image_suffix(picture))
        target = folder / self._name(name, self.used_stems.setdefault(folder, set()))
        if not (target.exists() and target.samefile(record.path)):
            if target.is_symlink():  # writing would change the file that it links to
                target.unlink()
            if picture is None:
                self._copy(record.path, target)
            else:
                write_bytes(target, picture)
        return target

    def _name(self, path: Path, used_stems: set[str]) -> str:
        first = stem = cut_to_bytes(_clean(path.stem), MAX_STEM_BYTES)
        number = 1
        while alike(stem) in used_stems:
            number += 1
            stem = f"{first}_{number}"
        used_stems.add(alike(stem))
        self.omissions.add("renamed", int(stem != path.stem))
        return stem + path.suffix

    def _copy(self, source: Path, target: Path) -> None:
        if self.link:
            try:
                target.unlink(missing_ok=True)
                # A link to a symbolic link would break where the data is moved to.
                os.link(source.resolve(), target)
                return
            except OSError:
                self.omissions.add("linked")
        with replacing(target) as part:
            shutil.copyfile(source, part)
