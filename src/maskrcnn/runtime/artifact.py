"""An exported model: a graph that a runtime executes, and its metadata, both checked against the artifact contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.predict.network import DetectionArrays
from maskrcnn.predict.prediction_options import PredictionOptions
from maskrcnn.runtime.artifact_contract import (
    INPUTS,
    KEY,
    OUTPUTS,
    ArtifactMetadata,
    check_outputs,
    graph_inputs,
)
from maskrcnn.runtime.resize import prepare
from maskrcnn.text import first_line, listed, plural


class Session(Protocol):
    """A graph loaded into a runtime. Several threads may run it at once.

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
    """The network of an exported file. May be used from several threads at once, as its session may.

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
        if metadata is None:
            raise MaskRCNNError(
                f"not a model that maskrcnn exported: it has no {KEY!r} metadata, "
                f"takes {listed(session.inputs, 8)} and gives {listed(session.outputs, 8)}",
                where=path,
                fix=f"make one from a checkpoint: maskrcnn export CHECKPOINT --out {path.name}",
            )
        self.names, self._config, self.precision, self.version = ArtifactMetadata.from_json(metadata, path)
        _check_graph(session, self._config, path)

    @property
    def config(self) -> Config:
        """Architecture and thresholds, as exported."""
        return self._config

    def check(self, options: PredictionOptions) -> None:
        """Raises `MaskRCNNError` for more detections than the graph has room for, or an input of no such size.

        All else that a call may ask for is met: lower limits cut what the graph returns, and images may be resized
        otherwise. Names, thresholds and the layers' precision are part of the graph.
        """
        options.preprocess(self.config)
        wanted, own = options.detections(self.config), self.config.max_detections
        if wanted > own:
            raise MaskRCNNError(
                f"exported with at most {own} detections an image, {wanted} asked for",
                where=self.path,
                fix=f"ask for fewer, or export the model again with --max-detections {wanted}",
            )

    def detect(self, images: Sequence[np.ndarray], options: PredictionOptions) -> DetectionArrays:
        """Objects in images [H, W, C], as `maskrcnn.predict.network.Network.detect`."""
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
        return DetectionArrays(
            boxes, scores, labels.astype(np.int64, copy=False), valid.astype(bool, copy=False), masks, sizes
        )

    def __repr__(self) -> str:
        return (
            f"Artifact({self.path.name}: {plural(len(self.names), 'class')}, {self.precision}, {self.session.runtime})"
        )


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
        what = f"its settings are of {config.preprocess.channels} channels, its graph takes {channels}"
        raise MaskRCNNError(what, where=path, fix="export the model again")
    if height is not None or width is not None:
        what = f"expected a graph of any height and width, found one of {height or 'any'} x {width or 'any'} pixels"
        raise MaskRCNNError(what, where=path, fix="export the model again")
