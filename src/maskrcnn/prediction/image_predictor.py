"""Results of images in any form that `read_image_like` takes, from any `Network`.

Needs no torch: a deployed model runs with numpy and its runtime alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, overload

import numpy as np

from maskrcnn.config import Config, Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.channels import as_display_rgb
from maskrcnn.images.image_like import ImageLike, check_image_list, read_image_like
from maskrcnn.images.image_limits import MAX_IMAGE_BYTES
from maskrcnn.images.image_reader import ReadImage
from maskrcnn.images.input_size import padded_size, resized_size
from maskrcnn.images.prefetch import batched, prefetch
from maskrcnn.masks import Masks
from maskrcnn.prediction.network import DetectionArrays, Network, PendingDetections
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.prediction.predictor_origin import Origin
from maskrcnn.prediction.tile_stream import Tiling, usual_tile
from maskrcnn.prediction.tiled_result import predict_tiled
from maskrcnn.rasters.open_raster import open_raster
from maskrcnn.rasters.raster import check_region
from maskrcnn.rasters.region import Region
from maskrcnn.results.result import Result
from maskrcnn.text import first_line

if TYPE_CHECKING:
    from typing_extensions import Unpack

# What a network in PyTorch or an exported one may raise, out of memory included.
_FAILURES = (MaskRCNNError, RuntimeError, MemoryError)


class _Options(TypedDict, total=False):
    """What `ImagePredictor.predict` takes by name."""

    size: int | None
    max_detections: int | None
    tile: int | Literal["auto"] | None
    scale: float
    region: tuple[int, int, int, int] | None


class WeightReport(Protocol):
    """How weights were loaded; `maskrcnn.weights.load_report.LoadReport` is one."""

    notes: list[str]
    provenance: dict[str, Any]

    def lines(self) -> list[str]:
        """The report as text, one fact a line."""


class ImagePredictor:
    """Predicts the objects in images. May be used from several threads at once.

    A predictor that was loaded from a file can be pickled: its `Origin` is sent to the other process, which loads the
    file again.

    Args:
        network: computes the detections.
        size: shortest edge of the network input in pixels; the model's own unless given.
        batch_size: images in a forward pass, unless a call says otherwise.
        batches_in_flight: batches started before waiting for the results of the first.
        max_batch_pixels: limit on the padded input of a batch; a larger batch is split.
        report: how the weights were loaded; None if they were not.

    Attributes:
        origin: where it was loaded from; None if it was not.

    Raises:
        MaskRCNNError: the model does not take images of this size.
    """

    origin: Origin | None = None

    def __init__(
        self,
        network: Network,
        size: int | None = None,
        *,
        batch_size: int = 1,
        batches_in_flight: int = 0,
        max_batch_pixels: int = 2**22,
        report: WeightReport | None = None,
    ) -> None:
        self.network, self.report = network, report
        self._defaults = PredictionOptions(batch_size=batch_size, size=size)
        self._batches_in_flight, self._max_batch_pixels = batches_in_flight, max_batch_pixels
        self._preprocess = self._defaults.preprocess(network.config)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.origin is None:
            what = "a predictor that was not loaded from a file cannot be pickled"
            raise MaskRCNNError(what, fix="save the model, and send a predictor that maskrcnn.load gives of the file")
        self.origin.check()
        return Origin.reload, (self.origin,)

    @property
    def config(self) -> Config:
        """Architecture and thresholds of the model."""
        return self.network.config

    @property
    def preprocess(self) -> Preprocess:
        """How images are preprocessed, unless a call passes another size."""
        return self._preprocess

    @property
    def names(self) -> tuple[str, ...]:
        """Class names; labels index into them."""
        return self.network.names

    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        images: ImageLike,
        score: float = ...,
        batch_size: int | None = ...,
        **options: Unpack[_Options],
    ) -> Result: ...
    @overload
    def predict(
        self,
        images: Sequence[ImageLike],
        score: float = ...,
        batch_size: int | None = ...,
        **options: Unpack[_Options],
    ) -> list[Result]: ...
    def predict(
        self,
        images: Any,
        score: float = 0.5,
        batch_size: int | None = None,
        *,
        size: int | None = None,
        max_detections: int | None = None,
        tile: int | Literal["auto"] | None = None,
        scale: float = 1.0,
        region: tuple[int, int, int, int] | None = None,
    ) -> Result | list[Result]:
        """Find the objects in an image, or in each of a list of images.

        With ``tile`` an image of any size is predicted in overlapping tiles, and an object of several tiles is one
        object. A TIFF is then read by region, so that memory does not grow with it.

        Args:
            images: path, URL, PIL image or array [H, W] or [H, W, C] of uint8 or uint16, or a function that returns
                such an array; or a list of them. A model of other channels than RGB takes those it was trained on.
            score: objects below it are left out.
            batch_size: images that go through the network together; 1 on a CPU, 8 elsewhere unless given. A batch that
                would take too much memory is split.
            size: shortest edge of the network input in pixels; that of the predictor unless given.
            max_detections: objects in an image, at most, the best first; the model's own limit unless given. An
                exported model returns no more than it was exported with.
            tile: edge of the tiles in pixels of the network input, a multiple of 32 at best; "auto" for what the model
                usually takes, at most 1024. Then size and max_detections are those of the tiles, and not given.
            scale: with tile, pixels of the network input for one of the image.
            region: with tile, the x, y, width and height to predict, in pixels of the image; all of it unless given.

        Raises:
            MaskRCNNError: an image cannot be read, and the message names it; or an argument is not as described.
        """
        single = not isinstance(images, list | tuple)
        if tile is not None:
            if size is not None or max_detections is not None:
                what = "with tile, expected scale instead of size and max_detections"
                raise MaskRCNNError(what, fix="leave out size and max_detections")
            items = [images] if single else images
            tiled = [self._tiled(image, score, batch_size, tile, scale, region) for image in items]
            return tiled[0] if single else tiled
        images, results = [images] if single else images, []
        for result in self.stream(images, score, batch_size, size=size, max_detections=max_detections):
            if isinstance(result, MaskRCNNError):
                raise result
            results.append(result)
        return results[0] if single else results

    def stream(
        self,
        images: Iterable[ImageLike],
        score: float = 0.5,
        batch_size: int | None = None,
        *,
        size: int | None = None,
        max_detections: int | None = None,
    ) -> Iterator[Result | MaskRCNNError]:
        """Yield what `predict` returns, one image at a time in order, while the next ones are read in the background.

        An image that cannot be read, or that the network fails on, is yielded as its error; the others are unaffected.
        On CUDA the network works on the next batch while the results of one are used.
        """
        defaults = self._defaults
        batch_size = defaults.batch_size if batch_size is None else batch_size
        options = PredictionOptions(score, batch_size, defaults.size if size is None else size, max_detections)
        preprocess = options.preprocess(self.config)
        self.network.check(options)
        assert options.batch_size is not None
        running: deque[_RunningBatch] = deque()
        pixels = prefetch(
            check_image_list(images), lambda image: read_image_like(image, preprocess), options.batch_size, _bytes
        )
        for items in batched(pixels, options.batch_size, lambda items: self._fits(items, preprocess)):
            running.append(self._start(items, options))
            if len(running) > self._batches_in_flight:
                yield from self._results(running.popleft(), options)
        for batch in running:
            yield from self._results(batch, options)

    def _tiled(
        self,
        image: Any,
        score: float,
        batch_size: int | None,
        tile: int | Literal["auto"],
        scale: float,
        region: tuple[int, int, int, int] | None,
    ) -> Result:
        """The result of one image in tiles."""
        edge = usual_tile(self.preprocess) if tile == "auto" else tile
        with closing(open_raster(image, self.preprocess)) as raster:
            height, width = raster.size
            window = Region(0, 0, width, height) if region is None else Region(*region)
            check_region(window, raster)
            tiling = Tiling.of(window, edge, scale, self.preprocess)
            return predict_tiled(
                self.stream, self.config, self.names, raster, tiling, score=score, batch_size=batch_size
            )

    def _fits(self, items: list[_Image | MaskRCNNError], preprocess: Preprocess) -> bool:
        """Whether a batch stays within its bounds on pixels of the padded input, and on bytes of the images."""
        images = _pixels(items)
        if len(images) < 2:
            return True
        sizes = [resized_size(image.shape[0], image.shape[1], preprocess) for image in images]
        height, width = padded_size(sizes, preprocess.divisor)
        within = len(images) * height * width <= self._max_batch_pixels
        return within and sum(image.nbytes for image in images) <= MAX_IMAGE_BYTES

    def _start(self, items: list[_Image | MaskRCNNError], options: PredictionOptions) -> _RunningBatch:
        images = _pixels(items)
        try:
            return _RunningBatch(items, self.network.detect(images, options) if images else None)
        except _FAILURES as error:
            return _RunningBatch(items, None, error)

    def _results(self, batch: _RunningBatch, options: PredictionOptions) -> Iterator[Result | MaskRCNNError]:
        found, failure = None, batch.failure
        try:
            found = batch.detections.wait() if batch.detections is not None else None
        except _FAILURES as error:
            failure = error
        alone = len(_pixels(batch.items)) == 1
        row = 0
        for item in batch.items:
            if isinstance(item, MaskRCNNError):
                yield item
            elif found is not None:
                yield self._result(item, found, row, options)
                row += 1
            else:
                assert failure is not None
                # Each image of a failed batch is tried alone: the others may succeed.
                yield _network_error(failure, item[1]) if alone else self._retried(item, options)

    def _retried(self, item: _Image, options: PredictionOptions) -> Result | MaskRCNNError:
        try:
            return self._result(item, self.network.detect([item[0].pixels], options).wait(), 0, options)
        except _FAILURES as error:
            return _network_error(error, item[1])

    def _result(self, item: _Image, found: DetectionArrays, row: int, options: PredictionOptions) -> Result:
        image, path = item
        size = height, width = image.pixels.shape[:2]
        picture, notes = as_display_rgb(image.pixels)
        keep = found.valid[row] & (found.scores[row] >= options.score)
        rows, columns = found.sizes[row].tolist()
        boxes = found.boxes[row][keep] * np.array([width / columns, height / rows] * 2, dtype=np.float32)
        return Result(
            boxes=boxes,
            scores=found.scores[row][keep],
            labels=found.labels[row][keep],
            masks=Masks.from_probs(found.masks[row][keep], boxes, size, quantize=self.config.paste_quantized),
            class_names=self.names,
            size=size,
            image=picture,
            path=path,
            notes=(*image.notes, *notes),
        )


_Image = tuple[ReadImage, Path | None]


@dataclass
class _RunningBatch:
    """A batch in the network: the images, with errors where one could not be read; its detections, or its failure."""

    items: list[_Image | MaskRCNNError]
    detections: PendingDetections | None
    failure: Exception | None = None


def _pixels(items: list[_Image | MaskRCNNError]) -> list[np.ndarray]:
    return [item[0].pixels for item in items if not isinstance(item, MaskRCNNError)]


def _network_error(failure: Exception, path: Path | None) -> MaskRCNNError:
    """The error of an image that the network failed on."""
    if isinstance(failure, MaskRCNNError):
        return failure
    fix = "try a smaller size, or another device"
    return MaskRCNNError(f"the network failed on it: {first_line(failure)}", where=path, fix=fix)


def _bytes(item: _Image) -> int:
    """Bytes of an image that was read and waits for the network."""
    return item[0].pixels.nbytes
