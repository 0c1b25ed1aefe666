"""From data sets of any format to a new one of a given format.

Images are copied or linked, never encoded again. What the new format cannot say is told in one line a kind; images and
objects that cannot be read are left out and told one by one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
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
from maskrcnn.datasets.formats.image_finder import alike
from maskrcnn.datasets.formats.registry import DataFormat
from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.embedded_image import embedded_image, image_suffix, is_embedded
from maskrcnn.images.image_reader import read_header
from maskrcnn.masks.crop import Crop
from maskrcnn.output.atomic_file import make_folder, replacing, write_bytes
from maskrcnn.output.unfinished import is_free, unfinished_while
from maskrcnn.text import cut_to_bytes

MAX_STEM_BYTES = 200  # of 255 that most file systems take: formats add numbers and names of their own

_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass
class Written:
    """What was written of one split: images, single objects, and crowd regions."""

    images: int = 0
    objects: int = 0
    crowd: int = 0


@dataclass
class Conversion:
    """What became of the data.

    Attributes:
        splits: what was written, by split.
        omissions: what the format cannot say, one a kind.
        problems: what could not be read, and what the readers told.
    """

    splits: dict[str, Written]
    omissions: list[Problem]
    problems: list[Problem]


def convert(
    datasets: Mapping[str, Dataset],
    folder: str | Path,
    form: DataFormat,
    link: bool = False,
    force: bool = False,
    advance: Callable[[], object] = lambda: None,
) -> Conversion:
    """Write data sets as one of the given format; classes are united by name.

    Args:
        datasets: split name → images; "" for data that does not divide.
        folder: where to; it must be empty or not exist, unless `force` allows to write among other files.
        link: make hard links to the images instead of copies, where the disk allows it.
        advance: called after each image.

    Raises:
        MaskRCNNError: the folder is not empty, holds the data itself, or cannot be written to.
    """
    folder = Path(folder)
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
    """As `convert`, into a folder that is there, whatever it holds."""
    omissions = Omissions(form.title)
    called = {name: _clean(name.strip()) or "unnamed" for dataset in datasets.values() for name in dataset.names}
    names = list(dict.fromkeys(called.values()))
    place_of = {name: place for place, name in enumerate(names)}
    omissions.add("class-names", sum(name != new for name, new in called.items()))
    problems = ProblemLog(problem for dataset in datasets.values() for problem in dataset.problems)
    splits = {split: Written() for split in datasets}
    try:
        images = _Images(link, omissions)
        with WRITERS[form.name](folder, names, list(datasets), omissions) as writer:
            for split, dataset in datasets.items():
                labels = [place_of[called[name]] for name in dataset.names]
                for index, record in enumerate(dataset.records):
                    try:
                        drawn, found = dataset.drawn(index)
                    except MaskRCNNError as error:
                        problems.add([_lost(error, "unreadable-labels", record)])
                        advance()
                        continue
                    problems.add(found)
                    try:
                        images.check(record)
                    except MaskRCNNError as error:
                        problems.add([_lost(error, "unreadable-image", record, len(drawn))])
                    else:
                        image = images.place(record, writer.image_folder(split))
                        objects = _sayable(drawn, labels, writer)
                        if not writer.takes_verdicts and (record.absent is not None or record.partial):
                            omissions.add("verdicts")
                        writer.add(LabelledImage(split, image, record, objects))
                        _count(splits[split], objects)
                    advance()
            writer.close()
    except OSError as error:
        raise MaskRCNNError(f"cannot be written: {error}", where=folder, fix="check the disk and the rights") from error
    return Conversion(splits, omissions.problems(folder), list(problems))


def _clean(text: str) -> str:
    """Text that every label file can hold: no control characters, and no bytes that are not UTF-8."""
    return _UNWRITABLE.sub("_", text)


def _lost(error: MaskRCNNError, check: str, record: ImageRecord, objects: int = 0) -> Problem:
    """The record of an image that is left out, with its objects."""
    check = error.check if isinstance(error, DataError) else check
    return Problem(check, str(error.where or record.path), error.what, error.fix, "error", 1, objects)


def _check(folder: Path, datasets: Mapping[str, Dataset], force: bool) -> None:
    for split in datasets:
        if split == ".." or split != Path(split).name:
            what = f"expected names of splits that can be folders, found {shown(split)}"
            raise MaskRCNNError(what, where=folder, fix="rename the split")
    if folder.is_dir() and not is_free(folder) and not force:
        raise MaskRCNNError("expected an empty folder", where=folder, fix="choose another one, or add --force")
    records = (record for dataset in datasets.values() for record in dataset.records)
    used = {file.parent for record in records for file in (record.path, record.labels) if file is not None}
    if any(place.resolve().is_relative_to(folder.resolve()) for place in used):
        raise MaskRCNNError("the data lies in the folder itself", where=folder, fix="choose another folder")


def _sayable(drawn: list[Drawn], labels: list[int], writer: DatasetWriter) -> list[Drawn]:
    """The objects that the format can say, with the labels of the new data set."""
    kept = []
    for annotation, crop, box in drawn:
        if annotation.crowd and not writer.takes_crowds:
            writer.omissions.add("crowd")
            continue
        if crop is None and not writer.takes_boxes:
            if not annotation.crowd:
                writer.omissions.add("box-only")
                continue
            # A region that is given by its box is all of the box.
            x1, y1, x2, y2 = (round(side) for side in box)
            crop = Crop(np.ones((max(y2 - y1, 0), max(x2 - x1, 0)), dtype=bool), x1, y1)
        kept.append(Drawn(annotation._replace(label=labels[annotation.label]), crop, box))
    return kept


def _count(written: Written, objects: list[Drawn]) -> None:
    crowd = sum(drawn.annotation.crowd for drawn in objects)
    written.images += 1
    written.objects += len(objects) - crowd
    written.crowd += crowd


class _Images:
    """Puts image files into their places, each under a stem of its own."""

    def __init__(self, link: bool, omissions: Omissions) -> None:
        self.link, self.omissions = link, omissions
        self.taken: dict[Path, set[str]] = {}

    def check(self, record: ImageRecord) -> None:
        """Raises `MaskRCNNError` if the image cannot be read, or has another size than its labels are for."""
        header = read_header(record.path)
        size = header.size[::-1] if header.orientation in (5, 6, 7, 8) else header.size
        if size != record.size:
            what = f"the labels are for {record.size[0]} x {record.size[1]}, the image has {size[0]} x {size[1]}"
            raise DataError("size-mismatch", what, where=record.path, fix="make both the same size")
        self.omissions.add("turned", int(header.orientation != 1))

    def place(self, record: ImageRecord, folder: Path) -> Path:
        """The new file of an image. Raises `MaskRCNNError` or `OSError` if it cannot be written."""
        if folder not in self.taken:
            folder.mkdir(parents=True, exist_ok=True)
        picture = embedded_image(record.path) if is_embedded(record.path) else None
        name = record.path if picture is None else record.path.with_suffix(image_suffix(picture))
        target = folder / self._name(name, self.taken.setdefault(folder, set()))
        if not (target.exists() and target.samefile(record.path)):
            if target.is_symlink():  # writing would change the file that it links to
                target.unlink()
            if picture is None:
                self._copy(record.path, target)
            else:
                write_bytes(target, picture)
        return target

    def _name(self, path: Path, taken: set[str]) -> str:
        first = stem = cut_to_bytes(_clean(path.stem), MAX_STEM_BYTES)
        number = 1
        while alike(stem) in taken:
            number += 1
            stem = f"{first}_{number}"
        taken.add(alike(stem))
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
