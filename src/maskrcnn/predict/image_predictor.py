"""From whatever users call images to results: what a network in PyTorch and an exported one have in common.

Needs no torch: a deployed model runs through here with numpy and its runtime alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

import numpy as np

from maskrcnn.config import Config, Preprocess
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.channels import as_display_rgb
from maskrcnn.images.image_like import ImageLike, check_image_list, checked_batch_size, checked_score, read_image_like
from maskrcnn.images.image_limits import MAX_IMAGE_BYTES
from maskrcnn.images.image_reader import ReadImage
from maskrcnn.images.input_size import padded_size, resized_size
from maskrcnn.images.prefetch import batched, prefetch
from maskrcnn.masks import Masks
from maskrcnn.results.result import Result
from maskrcnn.text import first_line

if TYPE_CHECKING:
    from maskrcnn.weights.load_report import LoadReport


class Found(NamedTuple):
    """D places for objects an image, best first; those that are not valid mean nothing."""

    boxes: np.ndarray  # float32 [B, D, 4], pixels of the network input
    scores: np.ndarray  # float32 [B, D], 0..1
    labels: np.ndarray  # int64 [B, D], 0..C-1
    valid: np.ndarray  # bool [B, D]
    masks: np.ndarray  # float32 [B, D, M, M], 0..1, in the box's frame


class Pending(Protocol):
    """Detections that are perhaps still being computed."""

    def arrays(self) -> tuple[Found, list[list[int]]]:
        """The detections, and each image's (height, width) in the network input, once they are there."""
        ...


class Network(Protocol):
    """What a predictor runs: class names, and the settings that hold for the next image."""

    config: Config
    names: tuple[str, ...]


class ImagePredictor(ABC):
    """Images in, results out.

    Attributes:
        model: the network.
        report: how the weights were loaded, if they were.
        together: images that go through the network at a time unless a caller says.
        behind: batches that are started before the results of the first are asked for.
        most_pixels: of the padded input of a batch; larger ones are split.
    """

    model: Network
    report: LoadReport | None = None
    together: int = 1
    behind: int = 0
    most_pixels: int = 2**22

    @property
    def preprocess(self) -> Preprocess:
        """How the model takes images."""
        return self.model.config.preprocess

    @property
    def names(self) -> tuple[str, ...]:
        """Class names; labels index into them."""
        return self.model.names

    @overload
    def predict(self, images: ImageLike, score: float = ..., batch_size: int | None = ...) -> Result: ...  # type: ignore[overload-overlap]
    @overload
    def predict(
        self, images: Sequence[ImageLike], score: float = ..., batch_size: int | None = ...
    ) -> list[Result]: ...
    def predict(self, images: Any, score: float = 0.5, batch_size: int | None = None) -> Result | list[Result]:
        """Find the objects in an image, or in each of a list of images.

        Args:
            images: path, URL, PIL image or array [H, W] or [H, W, C] of uint8 or uint16, or a function that gives such
                an array; or a list of them. A model of other channels than RGB takes those it was trained on.
            score: objects below it are left out.
            batch_size: images that go through the network together; 1 on a CPU, 8 elsewhere unless given. A batch that
                would take too much memory is split.

        Raises:
            MaskRCNNError: an image cannot be read, and the message names it; or an argument is not as described.
        """
        listed = isinstance(images, list | tuple)
        results = []
        for result in self.stream(images if listed else [images], score, batch_size):
            if isinstance(result, MaskRCNNError):
                raise result
            results.append(result)
        return results if listed else results[0]

    def stream(
        self, images: Iterable[ImageLike], score: float = 0.5, batch_size: int | None = None
    ) -> Iterator[Result | MaskRCNNError]:
        """What `predict` gives, image by image in their order, while the next ones are read in the background.

        An image that cannot be read, or that the network fails on, is yielded as its error; the others are unaffected.
        On CUDA the network works on the next batch while the results of one are used.
        """
        score, size = checked_score(score), checked_batch_size(batch_size, self.together)
        started: deque[_Started] = deque()
        pixels = prefetch(check_image_list(images), lambda image: read_image_like(image, self.preprocess), size, _held)
        for group in batched(pixels, size, self._fit):
            started.append(self._start(group, score))
            if len(started) > self.behind:
                yield from self._results(started.popleft(), score)
        for batch in started:
            yield from self._results(batch, score)

    @abstractmethod
    def _detect(self, images: Sequence[np.ndarray], score: float) -> Pending:
        """Begin to find the objects in images [H, W, C] such as the model takes; masks of scores below are not used."""

    def _fit(self, group: list[_Read | MaskRCNNError]) -> bool:
        """Whether a batch stays within its bounds on pixels of the padded input, and on bytes of the images."""
        images = [item[0].pixels for item in group if not isinstance(item, MaskRCNNError)]
        if len(images) < 2:
            return True
        sizes = [resized_size(image.shape[0], image.shape[1], self.preprocess) for image in images]
        height, width = padded_size(sizes, self.preprocess.divisor)
        most = self.most_pixels
        return len(images) * height * width <= most and sum(image.nbytes for image in images) <= MAX_IMAGE_BYTES

    def _start(self, group: list[_Read | MaskRCNNError], score: float) -> _Started:
        images = [item[0].pixels for item in group if not isinstance(item, MaskRCNNError)]
        try:
            return _Started(group, self._detect(images, score) if images else None)
        except _FAILURES as error:
            return _Started(group, None, error)

    def _results(self, started: _Started, score: float) -> Iterator[Result | MaskRCNNError]:
        found, failure = None, started.failure
        try:
            found = started.detections.arrays() if started.detections is not None else None
        except _FAILURES as error:
            failure = error
        alone = sum(not isinstance(item, MaskRCNNError) for item in started.group) == 1
        row = 0
        for item in started.group:
            if isinstance(item, MaskRCNNError):
                yield item
            elif found is not None:
                yield self._result(item, *found, row, score)
                row += 1
            else:
                assert failure is not None
                # In a batch that failed, each image is tried alone: the others may be well.
                yield _told(failure, item[1]) if alone else self._by_itself(item, score)

    def _by_itself(self, item: _Read, score: float) -> Result | MaskRCNNError:
        try:
            return self._result(item, *self._detect([item[0].pixels], score).arrays(), 0, score)
        except _FAILURES as error:
            return _told(error, item[1])

    def _result(self, item: _Read, found: Found, sizes: list[list[int]], row: int, score: float) -> Result:
        image, path = item
        height, width = image.pixels.shape[:2]
        picture, shown = as_display_rgb(image.pixels)
        keep = found.valid[row] & (found.scores[row] >= score)
        scale = np.array([width / sizes[row][1], height / sizes[row][0]] * 2, dtype=np.float32)
        boxes = found.boxes[row][keep] * scale
        quantize = self.model.config.paste_quantized
        return Result(
            boxes=boxes,
            scores=found.scores[row][keep],
            labels=found.labels[row][keep],
            masks=Masks.from_probs(found.masks[row][keep], boxes, (height, width), quantize=quantize),
            class_names=self.names,
            size=(height, width),
            image=picture,
            path=path,
            notes=(*image.notes, *shown),
        )


_Read = tuple[ReadImage, Path | None]


# Of a network in torch, out of memory among them, and of an exported one.
_FAILURES = (MaskRCNNError, RuntimeError, MemoryError)


@dataclass
class _Started:
    """A batch in the network: what was read, errors in their places, and the detections, or why there are none."""

    group: list[_Read | MaskRCNNError]
    detections: Pending | None
    failure: Exception | None = None


def _told(failure: Exception, path: Path | None) -> MaskRCNNError:
    """The error of an image that the network failed on."""
    if isinstance(failure, MaskRCNNError):
        return failure
    fix = "try a smaller --size, or another --device"
    return MaskRCNNError(f"the network failed on it: {first_line(failure)}", where=path, fix=fix)


def _held(item: _Read) -> int:
    """Bytes that an image takes while it waits."""
    return item[0].pixels.nbytes
