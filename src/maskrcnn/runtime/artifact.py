"""An exported model: a graph that a runtime executes, and its metadata, both checked against the artifact contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.network import DetectionArrays
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.runtime.artifact_contract import INPUTS, KEY, OUTPUTS, ArtifactMetadata, check_outputs, graph_inputs
from maskrcnn.runtime.resize import prepare
from maskrcnn.text import first_line, listed, plural, shell_word


class Session(Protocol):
    """A graph loaded into a runtime. Several threads may run it at once.

    Attributes:
        runtime: its name and version, for people.
        inputs, outputs: names of the graph's arrays, in its order.
        shape: of ``images``, [B, C, H, W]; None where any number is taken.
        smallest: the least height and width of an input, in pixels.
    """

    runtime: str
    inputs: list[str]
    outputs: list[str]
    shape: tuple[int | None, ...]
    smallest: int

    def run(self, feeds: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """The arrays of `OUTPUTS`, in that order, for those of `INPUTS` by name."""


@contextmanager
def as_file_error(
    path: Path, kind: str, fix: str = "copy or export it again", last_line: bool = False
) -> Iterator[None]:
    """Report any error inside as a `MaskRCNNError` with its first or last line: damaged, or a file of another kind."""
    try:
        yield
    except MaskRCNNError:
        raise
    except Exception as error:  # runtimes' own classes are many and not public
        what = f"truncated, damaged or no {kind}: {first_line(error, last_line)}"
        raise MaskRCNNError(what, where=path, fix=fix) from error


class Artifact:
    """The network of an exported file. May be used from several threads at once, like its session.

    Args:
        session: the graph.
        metadata: the text under `KEY`, None if the file has none.
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
        if metadata is None:
            arrays = f"takes {listed(session.inputs, 8)} and gives {listed(session.outputs, 8)}"
            what = f"not a model that maskrcnn exported: it has no {KEY!r} metadata, {arrays}"
            fix = f"make one from a checkpoint: maskrcnn export CHECKPOINT --out {shell_word(path.name)}"
            raise MaskRCNNError(what, where=path, fix=fix)
        self.names, self._config, self.precision, self.version = ArtifactMetadata.from_json(metadata, path)
        if fault := _graph_fault(session, self._config):
            raise MaskRCNNError(fault, where=path, fix="export the model again")

    @property
    def config(self) -> Config:
        """Architecture and thresholds, as exported."""
        return self._config

    def check(self, options: PredictionOptions) -> None:
        """Raises `MaskRCNNError` for more detections than the graph returns, or an input size out of range.

        Lower limits cut what the graph returns. Names, thresholds and the layers' precision are part of the graph.
        """
        options.preprocess(self.config)
        wanted, own = options.detections(self.config), self.config.max_detections
        if wanted > own:
            what = f"exported with at most {own} detections an image, {wanted} asked for"
            fix = f"ask for fewer, or export the model again with max_detections {wanted}"
            raise MaskRCNNError(what, where=self.path, fix=fix)

    def detect(self, images: Sequence[np.ndarray], options: PredictionOptions) -> DetectionArrays:
        """Objects in images [H, W, C], as `maskrcnn.prediction.network.Network.detect`."""
        batch, sizes = prepare(images, options.preprocess(self.config), self.session.smallest)
        step = self.session.shape[0] or len(batch)
        try:
            parts = [
                self.session.run(graph_inputs(batch[at : at + step], sizes[at : at + step], options.score))
                for at in range(0, len(batch), step)
            ]
            outputs = [np.concatenate(part) for part in zip(*parts, strict=True)]
            check_outputs(outputs, len(batch), len(self.names))
        except Exception as error:  # each runtime has classes of its own
            reason = error.what if isinstance(error, MaskRCNNError) else first_line(error)
            what = f"{self.session.runtime} cannot run it on an input of {list(batch.shape)}: {reason}"
            raise MaskRCNNError(what, where=self.path, fix="export the model again, or free memory") from error
        most = options.detections(self.config)
        boxes, scores, labels, valid, masks = (part[:, :most] for part in outputs)
        labels, valid = labels.astype(np.int64, copy=False), valid.astype(bool, copy=False)
        return DetectionArrays(boxes, scores, labels, valid, masks, sizes)

    def __repr__(self) -> str:
        classes = plural(len(self.names), "class")
        return f"Artifact({self.path.name}: {classes}, {self.precision}, {self.session.runtime})"


def _graph_fault(session: Session, config: Config) -> str:
    """How the graph differs from one with the inputs and outputs of an artifact for this config; "" if it does not."""
    for verb, expected, found in (("takes", INPUTS, session.inputs), ("gives", OUTPUTS, session.outputs)):
        if missing := listed([name for name in expected if name not in found]):
            return f"expected a graph that {verb} {listed(expected)}; {missing} missing, found {listed(found, 8)}"
    if len(session.shape) != 4:
        return f"expected images of [B, C, H, W], found a graph that takes {len(session.shape)} dimensions"
    _, channels, height, width = session.shape
    if channels not in (None, config.preprocess.channels):
        return f"its settings are for {config.preprocess.channels} channels, its graph takes {channels}"
    if height is not None or width is not None:
        return f"expected a graph of any height and width, found one of {height or 'any'} x {width or 'any'} pixels"
    return ""
