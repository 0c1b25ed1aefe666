"""A data set on disk: its format and splits, found once, and each split opened from what was found."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from maskrcnn.annotations.problem import Problem, Severity
from maskrcnn.argument_checks import checked_path, exists
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.format_registry import BY_NAME, DataFormat, detect, expected
from maskrcnn.datasets.formats.location import Location
from maskrcnn.datasets.formats.reserved_names import without_reserved
from maskrcnn.datasets.formats.split_names import SPLIT_NAMES, TRAIN, matching_split, split_of
from maskrcnn.datasets.manifest import Manifest, Place, manifest_at
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_formats import skipped_files_note
from maskrcnn.images.image_reader import find_images
from maskrcnn.json_yaml import shown
from maskrcnn.output.unfinished import MARK, unfinished_folder
from maskrcnn.text import listed, plural

_DIVIDE = "divide the data: maskrcnn dataset split"


class Source:
    """A folder of labelled images, a label file, or a YAML that names folders.

    Args:
        path: the folder, of any known format; or the file.
        finished: refuse a data set that a run left unfinished.
        manifest: use the YAML in the folder, if it names classes and splits.
        parents: the manifests that lead to this source.

    Attributes:
        splits: their names, training first; [""] for data without splits.

    Raises:
        MaskRCNNError: no known format is there, or the data set is unfinished.
    """

    def __init__(
        self, path: str | Path, *, finished: bool = True, manifest: bool = True, parents: Sequence[Path] = ()
    ) -> None:
        self.path = checked_path(path, "data set")
        if not exists(self.path):
            raise MaskRCNNError("no such file or folder", where=self.path, fix="check the path")
        if finished:
            check_finished(self.path)
        self._manifest = manifest_at(self.path) if manifest else None
        self._parents, self._places = tuple(parents), dict[Path, Source]()
        self.splits = list(self._detected[1]) if self._manifest is None else self._manifest.splits
        if self._manifest is not None and self._manifest.file.resolve() in self._parents:
            raise MaskRCNNError(f"leads back to {self._manifest.file}", where=self.path, fix="name a folder of data")

    @property
    def format(self) -> DataFormat:
        """The format of the folder; COCO for a YAML file, whose places may have different formats."""
        if self._manifest is None:
            return self._detected[0]
        with suppress(MaskRCNNError):
            if self.path.is_dir():
                return self._source(self._manifest, self.path).format
        return BY_NAME["coco"]

    def has(self, split: str) -> bool:
        """Whether `open` would find a split."""
        return matching_split(self.splits, split) is not None

    def label_places(self, split: str | None) -> list[Path]:
        """The files or folders that hold the labels of a split. Raises as `open`."""
        key = self._key(split)
        if self._manifest is None:
            return [self._detected[1][key].path]
        found = [self._find(self._manifest, place, key) for place in self._manifest.places(key)]
        return [path for source, name in found for path in source.label_places(name)]

    def open(
        self,
        split: str | None = None,
        names: Sequence[str] | None = None,
        keypoints: tuple[int, int] | None = None,
    ) -> Dataset:
        """One split. The arguments are those of `open_dataset`.

        Raises:
            MaskRCNNError: there is no such split, or several where none is named; or it cannot be read.
        """
        key = self._key(split)
        if self._manifest is not None:
            return self._open_places(self._manifest, key)
        form, locations = self._detected
        location = locations[key]._replace(names=names, keypoints=keypoints)
        dataset = Dataset(without_reserved(form.read(location), str(location.path)))
        folders = sorted({record.path.parent for record in dataset.records})
        skipped = skipped_files_note(file for folder in folders if folder.is_dir() for file in folder.iterdir())
        notes = [Problem("left-out", str(self.path), skipped, severity="note")] if skipped else []
        if split and not key:
            notes.append(self._undivided(f"the data does not divide into splits: all of it counts as {split}", "note"))
        return dataset.with_problems(notes)

    def open_or_whole(self, split: str) -> tuple[str, Dataset]:
        """The default split; if it is absent, the only split or all data without splits, and a problem about it.

        Returns:
            The name of the split that was opened, "" for data without splits, and its data set.

        Raises:
            MaskRCNNError: it is absent, and there are several other splits.
        """
        if self.splits != [""] and self.has(split):
            return split, self.open(split)
        dataset, only = self.open(), self.splits[0]
        name = split_of(self.path.stem) if self.path.is_file() else self.path.name.lower()
        if not only and matching_split([name if name in SPLIT_NAMES else ""], split) is not None:
            return only, dataset  # data without splits count as training data, unless their name says otherwise
        what = f"there is no {split} split, {f'the {only} split' if only else 'all of the data'} is used"
        if split not in TRAIN:
            what += "; if the model was trained on these images, its figures say nothing of new ones"
        return only, dataset.with_problems([self._undivided(what, "note" if split in TRAIN else "warning")])

    def open_or_default(self, split: str | None, default: str) -> tuple[str, Dataset]:
        """The split that a user names; if none is named, what `open_or_whole` opens for the default."""
        return self.open_or_whole(default) if split is None else (split, self.open(split))

    def open_for_training(self) -> tuple[Dataset, Dataset | None]:
        """The train split, and the val split or None; with a problem if they share images."""
        train = self.open("train")
        if not self.has("val"):
            return train, None
        val = self.open("val")
        trained = {record.path.resolve() for record in train.records}
        shared = sum(record.path.resolve() in trained for record in val.records)
        if not shared:
            return train, val
        what = f"{shared:,} of {plural(len(val), 'image')} of the val split are trained on as well"
        return train, val.with_problems([Problem("leak", str(self.path), what, _DIVIDE, "warning")])

    def _undivided(self, what: str, severity: Severity) -> Problem:
        return Problem("no-validation", str(self.path), what, _DIVIDE, severity)

    @cached_property
    def _detected(self) -> tuple[DataFormat, dict[str, Location]]:
        if found := detect(self.path):
            return found
        what = f"expected {expected()}, a label file or a .yaml naming such folders; found {_contents(self.path)}"
        raise MaskRCNNError(what, where=self.path, fix="arrange the files like that")

    def _key(self, split: str | None) -> str:
        if split is None and len(self.splits) == 1:
            return self.splits[0]
        if split is None:
            what = f"the data has the splits {', '.join(self.splits)}"
            raise MaskRCNNError(what, where=self.path, fix="say which one to use")
        key = matching_split(self.splits, split)
        if key is None:
            found = ", ".join(name or "one set without splits" for name in self.splits)
            fix = f"add a {split} folder, or use a split that is there"
            raise MaskRCNNError(f"expected a split named {split!r}, found {found}", where=self.path, fix=fix)
        return key

    def _open_places(self, manifest: Manifest, key: str) -> Dataset:
        datasets = []
        for place in manifest.places(key):
            try:
                source, split = self._find(manifest, place, key)
                datasets.append((source.open(split, manifest.names, manifest.keypoints), place.rename))
            except MaskRCNNError as error:
                raise MaskRCNNError(f"{key}: {error}", where=manifest.file, fix="correct the place") from error
        return manifest.united(datasets)

    def _find(self, manifest: Manifest, place: Place, key: str) -> tuple[Source, str | None]:
        """The source of a place in a manifest, and the split to open of it; None for all of it."""
        try:
            source = self._source(manifest, place.path)
        except MaskRCNNError:
            # "data/first" may stand for data/first.json, or for a split of data.
            if not exists(beside := place.path.with_name(f"{place.path.name}.json")):
                with suppress(MaskRCNNError):
                    above = self._source(manifest, place.path.parent)
                    if above.has(place.path.name):
                        return above, place.path.name
                raise
            source = self._source(manifest, beside)
        whole = len(source.splits) == 1 and source.splits[0] not in SPLIT_NAMES
        return source, place.split or (None if whole else key)

    def _source(self, manifest: Manifest, path: Path) -> Source:
        key = path.resolve() if exists(path) else path
        if key not in self._places:
            own = exists(path) and path.is_dir() and path.samefile(manifest.file.parent)
            parents = (*self._parents, manifest.file.resolve())
            self._places[key] = Source(path, finished=not own, manifest=not own, parents=parents)
        return self._places[key]


def open_dataset(
    path: str | Path,
    split: str | None = None,
    names: Sequence[str] | None = None,
    keypoints: tuple[int, int] | None = None,
) -> Dataset:
    """Open a labelled data set; its format is recognised from the folder alone.

    Args:
        path: folder of any known format, its label file, or .yaml naming folders (train: …, val: …; see `manifest`).
        split: "train" or "val" (also found under valid, validation, test); None for data without splits or with one.
        names: class names, for data that only numbers its classes and has no file that names them; "" for a number
            without a class.
        keypoints: how many keypoints follow each box of YOLO pose labels, and the numbers of each.

    Raises:
        MaskRCNNError: no known format is there, or not that split, or the data set is unfinished.
    """
    if not isinstance(split, str | None):
        raise MaskRCNNError(f"split: expected its name, found {shown(split)}", fix="give 'train' or 'val'")
    return Source(path).open(split, names, keypoints)


def check_finished(path: Path) -> None:
    """Raises `MaskRCNNError` if the data at a path were not written to their end."""
    if folder := unfinished_folder(path):
        what = "unfinished: the run that wrote this data set has not come to its end"
        fix = f"run it again with the same folder, or delete the folder; to use what is there, delete {MARK} in it"
        raise MaskRCNNError(what, where=folder, fix=fix)


def _contents(path: Path) -> str:
    if not path.is_dir():
        return f"the file {path.name}" if path.exists() else "nothing"
    names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir() if not p.name.startswith("."))
    images, others = len(find_images(path)), skipped_files_note(path.iterdir())
    found = (listed(names, 8) or "an empty folder") + (f" with {plural(images, 'image')}" if images else "")
    return found + (f"; {others}" if others else "")
