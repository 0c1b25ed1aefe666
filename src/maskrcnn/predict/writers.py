"""Results on disk: OUT/<stem>.png overlays and OUT/predictions.json, a list of COCO results.

predictions.json appears whole, when the writer closes: also after an error or Ctrl-C, with what was done by then.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from maskrcnn.errors import MaskRCNNError
from maskrcnn.predict.result import Result

OVERLAY_MARK = "maskrcnn overlay"


class PredictionWriter:
    """Collects the results of many images in one folder.

        with PredictionWriter("out") as writer:
            for source in sources:
                writer.add(source.name, source.stem, model.predict(source.path_or_url))

    Args:
        out_dir: made if missing. An overlay and a predictions.json of an earlier run are replaced, other files never.
        overlays: also draw each result.

    Raises:
        MaskRCNNError: (on entering) out_dir is a file, or nothing can be written there.
    """

    def __init__(self, out_dir: str | Path, *, overlays: bool = True) -> None:
        self.out_dir, self.overlays = Path(out_dir), overlays
        self.path = self.out_dir / "predictions.json"
        self.images = 0
        self._part = self.out_dir / "predictions.json.part"
        self._file: IO[bytes]
        self._end = 0

    def __enter__(self) -> PredictionWriter:
        if self.out_dir.exists() and not self.out_dir.is_dir():
            raise MaskRCNNError(
                "expected an output folder, found a file", where=self.out_dir, fix="name another folder"
            )
        try:
            self.out_dir.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        except OSError as error:
            reason = error.strerror or error
            raise MaskRCNNError(
                f"cannot write to this folder: {reason}", where=self.out_dir, fix="name another"
            ) from error
        return self

    def add(self, source_name: str, stem: str, result: Result) -> Path | None:
        """Keep one image's result; image_id counts from 1 in the order of adding.

        Args:
            source_name: the image's file name, as it will stand in `file_name`.
            stem: the overlay's name without suffix.
            result: what was found; it needs its image if overlays are drawn.

        Returns:
            The overlay's path, None if none are drawn.

        Raises:
            MaskRCNNError: the overlay or the results cannot be written; if only the overlay, the result is kept.
        """
        rows = [{**row, "file_name": source_name} for row in result.to_coco(self.images + 1)]
        text = "".join(f",\n{json.dumps(row)}" for row in rows)
        if text and not self._end:
            text = "[" + text[1:]
        try:
            self._file.write(text.encode())
            self._end = self._file.tell()
        except OSError as error:
            raise MaskRCNNError(f"cannot write: {error.strerror or error}", where=self._part) from error
        self.images += 1
        return self._draw(stem, result) if self.overlays else None

    def _draw(self, stem: str, result: Result) -> Path:
        path = self.out_dir / f"{stem}.png"
        if path.exists() and not _is_overlay(path):
            raise MaskRCNNError("not overwritten: no overlay of ours", where=path, fix="choose another output folder")
        mark = PngImagePlugin.PngInfo()
        mark.add_text("Software", OVERLAY_MARK)
        part = path.with_name(f"{path.name}.part")
        try:
            # Fast compression: the default takes longer on a large photo than all the drawing.
            result.draw().save(part, format="PNG", pnginfo=mark, compress_level=1)
            part.replace(path)
        except OSError as error:
            raise MaskRCNNError(f"cannot write: {error.strerror or error}", where=path) from error
        finally:
            part.unlink(missing_ok=True)
        return path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            # Drops what an interrupted write left after the last whole image.
            self._file.seek(self._end)
            self._file.truncate()
            self._file.write(b"\n]\n" if self._end else b"[]\n")
        self._part.replace(self.path)


def _is_overlay(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.info.get("Software") == OVERLAY_MARK
    except (OSError, UnidentifiedImageError):
        return False
