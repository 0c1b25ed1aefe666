"""The predictor of a `MaskRCNN`, on one device in one precision."""

from __future__ import annotations

import warnings
from typing import Any

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.image_like import ImageLike, read_image_like
from maskrcnn.inference.device import PRECISIONS, pick_device, pick_precision
from maskrcnn.inference.torch_network import TorchNetwork
from maskrcnn.json_yaml import shown
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.prediction.box_prompts import BoxPrompts, Labels
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.prediction_options import PredictionOptions
from maskrcnn.results.result import Result
from maskrcnn.weights.load_report import LoadReport

SLOW_FP16 = "fp16 is 9 to 40 times slower than fp32 on a CPU: use fp32, or bf16 where the CPU has instructions for it"


class Predictor(ImagePredictor):
    """Predicts with one `MaskRCNN`; `predict` and `stream` are those of `ImagePredictor`, `segment` takes boxes.

    Args:
        model: the network. It is not changed; what runs is a copy made for inference.
        device: "auto" takes CUDA, then MPS, then the CPU.
        precision: "auto", "fp32", "bf16" or "fp16"; see `maskrcnn.inference.device`.
        report: how the weights were loaded; None if they were not.
        size: shortest edge of the network input in pixels; the model's own unless given.

    Attributes:
        device, dtype: where it runs, and the precision of its layers.
    """

    network: TorchNetwork
    report: LoadReport | None

    def __init__(
        self,
        model: MaskRCNN,
        device: str = "auto",
        precision: str = "auto",
        report: LoadReport | None = None,
        size: int | None = None,
    ) -> None:
        if not isinstance(model, MaskRCNN):
            fix = "maskrcnn.load gives a Predictor of a name or a file"
            raise MaskRCNNError(f"expected a MaskRCNN, found {shown(model)}", fix=fix)
        self.model, self.device = model.eval(), pick_device(device)
        self.dtype = PRECISIONS[pick_precision(precision, self.device)]
        on_cpu, on_cuda = self.device.type == "cpu", self.device.type == "cuda"
        if on_cpu and precision == "fp16":
            if report is None:
                warnings.warn(SLOW_FP16, stacklevel=2)
            else:
                report.notes.append(SLOW_FP16)
        super().__init__(
            TorchNetwork(model, self.device, self.dtype),
            size,
            batch_size=1 if on_cpu else 8,
            batches_in_flight=1 if on_cuda else 0,
            max_batch_pixels=2**22 if on_cpu else 2**27,
            report=report,
        )

    def segment(self, image: ImageLike, boxes: Any, labels: Labels | None = None, *, size: int | None = None) -> Result:
        """The masks of objects whose boxes are known: drawn by a person, or found by another detector.

        Args:
            image: as `predict` takes one.
            boxes: [N, 4], (x1, y1, x2, y2) in continuous pixels of the image; what lies outside it is cut off.
            labels: a class name or number for each box; the class that the model finds most probable unless given.
            size: shortest edge of the network input in pixels; that of the predictor unless given.

        Returns:
            N objects in the order of the boxes. A score is the probability that the model gives to the class.

        Raises:
            MaskRCNNError: the image cannot be read, a box is no box or outside the image, or a class is unknown.
        """
        options = PredictionOptions(0.0, size=self._defaults.size if size is None else size)
        preprocess = options.preprocess(self.config)
        self.network.check(options)
        item = read_image_like(image, preprocess)
        prompts = BoxPrompts.of(boxes, labels, self.names, item[0].pixels.shape[:2])
        return self._result(item, self.network.segment(item[0].pixels, prompts, preprocess), 0, options)
