"""Results on disk: OUT/<stem>.png overlays and OUT/predictions.json, a list of COCO results.

predictions.json is moved into place complete when the writer closes, also after an error or Ctrl-C, with the results so
far. After a power cut they are in predictions.….part.json. One writer at a time can use a folder.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import ExitStack
from pathlib import Path

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.atomic_file import cannot_write, replacing, try_out
from maskrcnn.output.foreign_files import beginning, has_keys
from maskrcnn.output.growing_json import GrowingJson
from maskrcnn.output.output_lock import claim_folder
from maskrcnn.results.result import Result

OVERLAY_MARK = "maskrcnn overlay"
_ROW_KEYS = ("image_id", "category_id", "category_name", "score")  # before the masks, which may be long


class PredictionWriter:
    """Collects the results of many images in one folder.

        with PredictionWriter("out") as writer:
            for source in sources:
                writer.add(source.name, source.stem, model.predict(source.path_or_url))

    Args:
        out_dir: made if missing. Overlays and predictions.json of an earlier run are replaced, other files never.
        overlays: also write an overlay of each image.

    Attributes:
        notes: once entered, notes on the folder for the user.

    Raises:
        MaskRCNNError: (on entering) out_dir is a file, is in use by another run, is not writable, or holds a
            predictions.json of another program.
    """

    def __init__(self, out_dir: str | Path, *, overlays: bool = True) -> None:
        self.out_dir, self.overlays = Path(out_dir), overlays
        self.path = self.out_dir / "predictions.json"
        self.images = 0
        self.notes: list[str] = []
        self._part = self.out_dir / f"predictions.{secrets.token_hex(4)}.part.json"
        self._rows: GrowingJson
        self._failed = False
        self._claim = ExitStack()

    def __enter__(self) -> PredictionWriter:
        with ExitStack() as claim:
            self.notes = claim.enter_context(claim_folder(self.out_dir, "cannot write to this folder"))
            try_out(self.path)
            try:
                if self.path.is_file() and not _is_predictions(self.path):
                    fix = "choose another output folder"
                    raise MaskRCNNError("not overwritten: not written by maskrcnn", where=self.path, fix=fix)
                self._rows = claim.enter_context(GrowingJson(self._part, "[", "]\n"))
                self._rows.save()
            except OSError as error:
                raise cannot_write(error, self.path) from error
            self._claim = claim.pop_all()
        return self

    def add(self, source_name: str, stem: str, result: Result) -> Path | None:
        """Write one image's result; image_id counts from 1 in the order of the calls.

        Args:
            source_name: the image's file name, written to `file_name`.
            stem: the overlay's name without suffix.
            result: with its image if overlays are written.

        Returns:
            The overlay's path; None without overlays.

        Raises:
            MaskRCNNError: the overlay or the results cannot be written. If only the overlay failed, the result is kept.
        """
        rows = result.to_coco(self.images + 1)
        try:
            self._rows.add(json.dumps({**row, "file_name": source_name}) for row in rows)
            self._rows.save()
        except OSError as error:
            self._failed = True
            raise cannot_write(error, self.path) from error
        self.images += 1
        return self._write_overlay(stem, result) if self.overlays else None

    def _write_overlay(self, stem: str, result: Result) -> Path:
        path = self.out_dir / f"{stem}.png"
        mark = PngImagePlugin.PngInfo()
        mark.add_text("Software", OVERLAY_MARK)
        with replacing(path) as part:
            if path.exists() and not _is_overlay(path):
                fix = "choose another output folder"
                raise MaskRCNNError("not overwritten: not an overlay written by maskrcnn", where=path, fix=fix)
            # The default compression takes longer on a large photo than drawing it.
            result.draw().save(part, format="PNG", pnginfo=mark, compress_level=1)
        return path

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._claim:
            try:
                with self._rows:
                    self._rows.save(durable=True)  # removes what an interrupted write left
                if self.images or not (error or self._failed):
                    self._part.replace(self.path)
                else:  # keep the results of an earlier run
                    self._part.unlink()
            except OSError as problem:
                what = f"cannot write: {problem.strerror or problem}; the results so far are in {self._part}"
                raise MaskRCNNError(what, where=self.path) from problem


def _is_predictions(path: Path) -> bool:
    """Whether a file is what a writer leaves: a list, without rows or with our keys in the first ones."""
    head = beginning(path)
    if re.fullmatch(r"\s*(\[\s*\]\s*)?", head):
        return True
    return re.match(r"\s*\[\s*\{", head) is not None and has_keys(head, _ROW_KEYS)


def _is_overlay(path: Path) -> bool:
    if not path.is_file():  # opening a pipe would block until something writes to it
        return False
    try:
        with Image.open(path) as picture:
            return picture.info.get("Software") == OVERLAY_MARK
    except (OSError, UnidentifiedImageError):
        return False
