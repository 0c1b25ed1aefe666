"""An exported model: a graph that a runtime executes, and what the exporter wrote about it.

What every artifact keeps to, whatever its format:

    images  float32 [B, C, H, W]  values as stored (RGB 0..255), filled from the top left; H, W multiples of the divisor
    sizes   int64 [B, 2]          (height, width) of each image within the padding
    score   float32 []            lowest score asked for
    →
    boxes   float32 [B, D, 4]     pixels of the network input, best object first
    scores  float32 [B, D]
    labels  int64 [B, D]
    valid   bool or uint8 [B, D]  rows that are not valid mean nothing
    masks   float32 [B, D, M, M]  probabilities in the box's frame

Under the key ``maskrcnn`` it carries JSON: format, names, config, precision, and the version that wrote it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from maskrcnn.config import Config, from_dict
from maskrcnn.documents import parse_json, shown
from maskrcnn.errors import MaskRCNNError
from maskrcnn.predict.image_predictor import Found
from maskrcnn.runtime.resize import prepare
from maskrcnn.text import first_line, listed, plural

KEY = "maskrcnn"
FORMAT = "maskrcnn-artifact-1"
INPUTS = ("images", "sizes", "score")
OUTPUTS = ("boxes", "scores", "labels", "valid", "masks")
# Of each output: the kinds of numbers it may hold (numpy's dtype.kind), and what they are.
_MEANT = {
    "boxes": ("f", "floats [B, D, 4]"),
    "scores": ("f", "floats [B, D]"),
    "labels": ("iu", "integers [B, D]"),
    "valid": ("bu", "bools [B, D]"),
    "masks": ("f", "floats [B, D, M, M]"),
}
_SLACK = 1e-3  # of a score, for rounding
MAX_METADATA = 32 * 2**20  # characters
MAX_NAMES, MAX_NAME = 100_000, 1000  # class names, and characters of one


class Session(Protocol):
    """A graph loaded into a runtime.

    Attributes:
        runtime: its name and version, for people.
        inputs, outputs: names of the graph's, in its order.
        shape: of ``images``, [B, C, H, W]; None where any number is taken.
        smallest: height and width that it takes at least, in pixels.
    """

    runtime: str
    inputs: list[str]
    outputs: list[str]
    shape: tuple[int | None, ...]
    smallest: int

    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """The arrays of `OUTPUTS`, in that order, for those of `INPUTS` by name."""
        ...


class Artifact:
    """The network of an exported file.

    Args:
        session: the graph.
        metadata: the text under `KEY`, None if there is none.
        path: the file.

    Attributes:
        names: class names; labels index into them.
        precision: what it was exported in: fp32, bf16, fp16 or int8.
        version: of the maskrcnn that exported it.

    Raises:
        MaskRCNNError: the file was not written by ``maskrcnn export``, or not by one that this version understands.
    """

    def __init__(self, session: Session, metadata: str | None, path: Path) -> None:
        self.session, self.path = session, path
        about = _parsed(metadata, session, path)
        self.names: tuple[str, ...] = tuple(about["names"])
        self.precision, self.version = about.get("precision", "fp32"), about.get("maskrcnn", "unknown")
        try:
            self._exported = self._config = from_dict(about["config"])
        except MaskRCNNError as error:
            what = f"exported by maskrcnn {self.version} with settings that are not known here: {error.what}"
            raise MaskRCNNError(what, where=path, fix="update maskrcnn, or export the model again") from error
        _check_graph(session, self._exported, path)

    @property
    def config(self) -> Config:
        """Settings that hold for the next image.

        All but two are part of the graph. Images may be resized otherwise, and fewer detections be asked for.
        """
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        own = self._exported
        if config.max_detections > own.max_detections:
            raise MaskRCNNError(
                f"exported with at most {own.max_detections} detections an image, {config.max_detections} asked for",
                where=self.path,
                fix=f"ask for fewer, or export the model again with --max-detections {config.max_detections}",
            )
        fixed = dataclasses.replace(config, preprocess=own.preprocess, max_detections=own.max_detections)
        if fixed != own or _pixels(config) != _pixels(own):
            names = [
                field.name
                for field in dataclasses.fields(own)
                if getattr(fixed, field.name) != getattr(own, field.name)
            ]
            raise MaskRCNNError(
                f"an exported model's {', '.join(names) or 'channels and normalisation'} cannot be changed",
                where=self.path,
                fix="change the model it came from and export that again",
            )
        self._config = config

    def detect(self, images: Sequence[np.ndarray], score: float) -> tuple[Found, list[list[int]]]:
        """Objects in images [H, W, C] such as the model takes, and each one's (height, width) in the network input."""
        batch, sizes = prepare(images, self._config.preprocess, self.session.smallest)
        lowest = np.array(score, dtype=np.float32)
        step = self.session.shape[0] or len(batch)
        try:
            parts = [
                self.session.run({"images": batch[at : at + step], "sizes": sizes[at : at + step], "score": lowest})
                for at in range(0, len(batch), step)
            ]
            found = self._checked([np.concatenate(part) for part in zip(*parts, strict=True)], len(batch))
        except Exception as error:  # each runtime has classes of its own
            reason = error.what if isinstance(error, MaskRCNNError) else first_line(error)
            what = f"{self.session.runtime} cannot run it on an input of {list(batch.shape)}: {reason}"
            raise MaskRCNNError(what, where=self.path, fix="export the model again, or free memory") from error
        limit = self._config.max_detections
        return Found(*(part[:, :limit] for part in found)), sizes.tolist()

    def _checked(self, parts: Sequence[np.ndarray], count: int) -> Found:
        """The outputs for ``count`` images, if they are such as a graph of ours gives."""
        sizes = [part.shape for part in parts]
        places, side = (sizes[1][1:2] or (0,))[0], sizes[4][-1:]
        expected = [(count, places, 4), *[(count, places)] * 3, (count, places, *side, *side)]
        for name, part, shape in zip(OUTPUTS, parts, expected, strict=True):
            kinds, meant = _MEANT[name]
            if part.dtype.kind not in kinds or part.shape != shape:
                raise MaskRCNNError(f"{name}: expected {meant}, found {part.dtype} {list(part.shape)}")
        boxes, scores, labels, valid, masks = parts
        valid = valid.astype(bool)
        if masks.shape[-1] == 0:
            raise MaskRCNNError("masks: expected [B, D, M, M] of 1 x 1 or more, found 0 x 0")
        for name, part in (("boxes", boxes), ("scores", scores), ("masks", masks)):
            if not np.isfinite(part[valid]).all():
                raise MaskRCNNError(f"{name} that are no finite numbers")
        if not ((scores[valid] >= -_SLACK) & (scores[valid] <= 1 + _SLACK)).all():
            raise MaskRCNNError(f"scores: expected 0..1, found {scores[valid].min():g}..{scores[valid].max():g}")
        kept = labels[valid]
        if kept.size and not 0 <= kept.min() <= kept.max() < len(self.names):
            what = f"labels: expected 0..{len(self.names) - 1}, found {kept.min()}..{kept.max()}"
            raise MaskRCNNError(what)
        return Found(boxes, scores, labels.astype(np.int64, copy=False), valid, masks)

    def __repr__(self) -> str:
        return (
            f"Artifact({self.path.name}: {plural(len(self.names), 'class')}, {self.precision}, {self.session.runtime})"
        )


def _pixels(config: Config) -> tuple[Any, ...]:
    """What the graph takes for granted of its input's pixels."""
    own = config.preprocess
    return own.mean, own.std, own.divisor, own.depth


def _parsed(metadata: str | None, session: Session, path: Path) -> dict[str, Any]:
    """The metadata as a record with names and a config."""
    if metadata is None:
        raise MaskRCNNError(
            f"not a model that maskrcnn exported: it has no {KEY!r} metadata, takes {listed(session.inputs, 8)} and "
            f"gives {listed(session.outputs, 8)}",
            where=path,
            fix=f"make one from a checkpoint: maskrcnn export CHECKPOINT --out {path.name}",
        )
    about: Any = None
    if len(metadata) <= MAX_METADATA:
        with contextlib.suppress(MaskRCNNError):  # told below, with what was expected
            about = parse_json(metadata, path)
    about = about if isinstance(about, dict) else {}
    kind = about.get("format")
    if kind is None or (kind == FORMAT and not isinstance(about.get("config"), dict)):
        raise MaskRCNNError(
            f"damaged metadata under {KEY!r}: expected JSON with format, names and config, found {shown(metadata)}",
            where=path,
            fix="export the model again",
        )
    if kind != FORMAT:
        what = f"expected an artifact of format {FORMAT}, found {shown(kind)}"
        raise MaskRCNNError(what, where=path, fix="update maskrcnn, or export the model again")
    _check_names(about.get("names"), path)
    for name in ("precision", "maskrcnn"):
        if not isinstance(value := about.get(name, ""), str) or len(value) > MAX_NAME:
            what = f"damaged metadata: expected a word under {name!r}, found {shown(value)}"
            raise MaskRCNNError(what, where=path, fix="export the model again")
    parsed: dict[str, Any] = about
    return parsed


def _check_names(names: Any, path: Path) -> None:
    """Raises unless these are the names of classes, each once."""
    if not isinstance(names, list) or not 0 < len(names) <= MAX_NAMES:
        found = f"{len(names):,}" if isinstance(names, list) else shown(names)
        what = f"damaged metadata: expected 1 to {MAX_NAMES:,} class names, found {found}"
    elif wrong := [name for name in names if not _is_name(name)]:
        what = f"damaged metadata: expected class names of 1 to {MAX_NAME:,} characters, found {shown(wrong[0])}"
    elif len(set(names)) < len(names):
        what = "damaged metadata: expected each class name once"
    else:
        return
    raise MaskRCNNError(what, where=path, fix="export the model again")


def _is_name(name: Any) -> bool:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in name)  # halves of characters, which no file takes


def _check_graph(session: Session, config: Config, path: Path) -> None:
    """Raises unless the graph has the inputs and outputs of an artifact, for images of this config."""
    for kind, expected, found in (("takes", INPUTS, session.inputs), ("gives", OUTPUTS, session.outputs)):
        if missing := [name for name in expected if name not in found]:
            raise MaskRCNNError(
                f"expected a graph that {kind} {listed(expected)}; {listed(missing)} missing, found {listed(found, 8)}",
                where=path,
                fix="export the model again",
            )
    if len(session.shape) != 4:
        what = f"expected images of [B, C, H, W], found a graph that takes {len(session.shape)} dimensions"
        raise MaskRCNNError(what, where=path, fix="export the model again")
    _, channels, height, width = session.shape
    if channels not in (None, config.preprocess.channels):
        what = f"its settings tell of {config.preprocess.channels} channels, its graph takes {channels}"
        raise MaskRCNNError(what, where=path, fix="export the model again")
    if height is not None or width is not None:
        what = f"expected a graph of any height and width, found one of {height or 'any'} x {width or 'any'} pixels"
        raise MaskRCNNError(what, where=path, fix="export the model again")
