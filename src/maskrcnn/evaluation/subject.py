"""What is evaluated, as the user named it, and the verbs that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskrcnn.evaluation.verb_call import VerbCall, verb_call, with_file
from maskrcnn.prediction.image_predictor import ImagePredictor

# Images named in one call; more are in metrics.json.
_MOST_IMAGES = 8
_EXPORTED = (".onnx", ".xml", ".pt2")
_SHEET, _RENAMED = "labels.png", "renamed.yaml"


@dataclass(frozen=True)
class Subject:
    """Names for verbs that work as they are shown.

    Attributes:
        model: a name or a path.
        data: the path of the data.
        split: the part that was measured, "" for all of the data.
        trainable: whether the data has a part to train on.
        size: the input size asked for, if one was.
        max_detections: the limit of objects an image asked for, if one was.
    """

    model: str = "MODEL"
    data: str = "DATA"
    split: str = ""
    trainable: bool = True
    size: int | None = None
    max_detections: int | None = None

    def evaluate(self, size: int | None = None, max_detections: int | None = None) -> VerbCall:
        """Measures again, at another size or with another limit."""
        split = self.split if self.split not in ("", "val") else None
        return self._evaluate(self.data, split, size or self.size, max_detections or self.max_detections)

    def predict(self, *images: str, score: float, folder: str) -> VerbCall:
        """Draws what is found in images, or in a folder of them, from a score on."""
        chosen = images[0] if len(images) == 1 else list(images[:_MOST_IMAGES])
        more = {"folder": folder, "score": round(float(score), 2), "size": self.size, "trust": self._program}
        return verb_call("predict", ("sources", chosen), ("model", self.model), **more)

    def train(self, **settings: Any) -> VerbCall | None:
        """Trains the model further on the data; None if the data has no part for that."""
        if not self.trainable:
            return None
        init = None if Path(self.model).suffix.lower() in _EXPORTED else self.model
        return verb_call("train", ("data", self.data), init=init, **settings, folder="runs/next")

    def view(self, classes: str | None = None) -> VerbCall:
        """Draws the labels with their names."""
        return verb_call("dataset view", ("data", self.data), split=self.split or None, classes=classes, path=_SHEET)

    def doctor(self) -> VerbCall:
        """Checks the labels and the splits."""
        return verb_call("doctor", ("data", self.data))

    def renamed(self, names: dict[str, str]) -> VerbCall:
        """Measures again, some classes of the data under other names."""
        place: dict[str, Any] = {"path": str(Path(self.data).resolve())}
        place |= {"split": self.split} if self.split else {}
        again = self._evaluate(_RENAMED, None, self.size, self.max_detections)
        return with_file(_RENAMED, {"val": place | {"rename": names}}, again)

    def _evaluate(self, data: str, split: str | None, size: int | None, max_detections: int | None) -> VerbCall:
        more = {"split": split, "size": size, "max_detections": max_detections, "trust": self._program}
        return verb_call("evaluate", ("model", self.model), ("data", data), **more)

    @property
    def _program(self) -> bool:
        """Whether the model is a .pt2, which is opened with trust alone."""
        return self.model.lower().endswith(".pt2")


def model_name(model: ImagePredictor | str | Path) -> str:
    """A model's name or path; of a predictor the one that it was loaded by, if it was."""
    if not isinstance(model, ImagePredictor):
        return str(model)
    return Subject.model if model.origin is None else model.origin.source
