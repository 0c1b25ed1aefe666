"""Finds out which format a folder has and which splits, and opens one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskrcnn.annotations.labels import Labels
from maskrcnn.annotations.problem import Problem
from maskrcnn.arguments import checked_path
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.formats.location import SPLITS, Location
from maskrcnn.datasets.formats.registry import DataFormat, detect, expected
from maskrcnn.datasets.formats.reserved_names import without_reserved
from maskrcnn.documents import shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_formats import skipped_files_note
from maskrcnn.images.image_reader import find_images
from maskrcnn.output.unfinished import MARK, unfinished_folder
from maskrcnn.text import listed, plural

_MANIFESTS = (".yaml", ".yml")


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
        MaskRCNNError: nothing known is there, or not that split, or it is unfinished; says what was expected and found.
    """
    path = _existing(checked_path(path, "data set"))
    if split is not None and not isinstance(split, str):
        raise MaskRCNNError(f"split: expected its name, found {shown(split)}", fix="give 'train' or 'val'")
    check_finished(path)
    return open_as_found(path, split, names, keypoints)


def open_as_found(
    path: Path,
    split: str | None = None,
    names: Sequence[str] | None = None,
    keypoints: tuple[int, int] | None = None,
) -> Dataset:
    """As `open_dataset`, also of a folder that a run left unfinished."""
    if manifest := _manifest(path):
        from maskrcnn.datasets.manifest import open_manifest

        return open_manifest(manifest, split)
    return open_detected(path, split, names, keypoints)


def check_finished(path: Path) -> None:
    """Raises `MaskRCNNError` if the data at a path were not written to their end."""
    if folder := unfinished_folder(path):
        raise MaskRCNNError(
            "unfinished: the run that wrote this data set has not come to its end",
            where=folder,
            fix=f"run it again with the same folder, or delete the folder; to use what is there, delete {MARK} in it",
        )


def open_detected(
    path: Path,
    split: str | None = None,
    names: Sequence[str] | None = None,
    keypoints: tuple[int, int] | None = None,
) -> Dataset:
    """As `open_dataset`, without regard to a .yaml in the folder."""
    found = _found(path)
    if found is None:
        what = f"expected {expected()}, a label file or a .yaml naming such folders; found {_contents(path)}"
        raise MaskRCNNError(what, where=path, fix="arrange the files like that")
    form, splits = found
    location = splits[match_split(list(splits), split, path)]
    labels = without_reserved(form.read(location._replace(keypoints=keypoints), names), str(location.path))
    return Dataset(labels._replace(problems=[*labels.problems, *_left_out(labels, path)]))


def has_split(path: str | Path, split: str) -> bool:
    """Whether `open_dataset(path, split)` would find that split."""
    return _match(split_names(path), split) is not None


def split_names(path: str | Path) -> list[str]:
    """The splits that `open_dataset` would find, training first; [""] for data without splits, none for no data."""
    path = _existing(path)
    if manifest := _manifest(path):
        from maskrcnn.datasets.manifest import splits_of

        return splits_of(manifest)
    found = _found(path)
    return list(found[1]) if found else []


def match_split(names: Sequence[str], split: str | None, path: Path) -> str:
    """Which of the splits there a user's split means; None for the only one.

    Raises:
        MaskRCNNError: none, or several where None was asked for.
    """
    if split is None and len(names) > 1:
        raise MaskRCNNError(f"the data has the splits {', '.join(names)}", where=path, fix="say which one to use")
    key = names[0] if split is None else _match(names, split)
    if key is None:
        raise MaskRCNNError(
            f"expected a split named {split!r}, found {', '.join(s or 'one set without splits' for s in names)}",
            where=path,
            fix=f"add a {split} folder, or use a split that is there",
        )
    return key


def _match(names: Sequence[str], split: str) -> str | None:
    """The one of `names` that a user's split means; data without splits ("") counts as train."""
    wanted = split.lower()
    group = next((aliases for aliases in SPLITS.values() if wanted in aliases), ())
    keys = (wanted, *group, *(("",) if wanted in SPLITS["train"] else ()))
    return next((key for key in keys if key in names), None)


def _found(path: Path) -> tuple[DataFormat, dict[str, Location]] | None:
    """The format of a folder or label file, and the labels of its splits."""
    return detect(_existing(path))


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; no for what cannot be a path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not exists(path):
        raise MaskRCNNError("no such file or folder", where=path, fix="check the path")
    return path


def _manifest(path: Path) -> Path | None:
    """The YAML that names the data: the file itself, or one in the folder that gives names to classes and splits."""
    if path.is_file():
        return path if path.suffix.lower() in _MANIFESTS else None
    from maskrcnn.datasets.manifest import describes

    files = sorted(file for file in path.glob("*") if file.suffix.lower() in _MANIFESTS) if path.is_dir() else []
    files.sort(key=lambda file: file.stem.lower() != "data")
    return next((file for file in files if describes(file)), None)


def _left_out(labels: Labels, path: Path) -> list[Problem]:
    """One line if the folders of images also have files of kinds that are not read."""
    folders = sorted({record.path.parent for record in labels.records})
    what = skipped_files_note(file for folder in folders if folder.is_dir() for file in folder.iterdir())
    return [Problem("left-out", str(path), what, severity="note")] if what else []


def _contents(path: Path) -> str:
    if not path.is_dir():
        return f"the file {path.name}" if path.exists() else "nothing"
    names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir() if not p.name.startswith("."))
    images = len(find_images(path))
    others = skipped_files_note(path.iterdir())
    return (
        (listed(names, 8) or "an empty folder")
        + (f" with {plural(images, 'image')}" if images else "")
        + (f"; {others}" if others else "")
    )
