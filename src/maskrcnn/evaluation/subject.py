"""What is evaluated, as the user named it, and the command lines that follow from it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

# Images named in one command line; more are in metrics.json.
_MOST_IMAGES = 8
_EXPORTED = (".onnx", ".xml", ".pt2")


@dataclass(frozen=True)
class Subject:
    """Names for command lines that work as they are.

    Attributes:
        model: a name or a path.
        data: the path of the data.
        split: the part that was measured, "" for all of the data.
        trainable: whether the data has a part to train on.
        size: the input size asked for, if one was.
    """

    model: str = "MODEL"
    data: str = "DATA"
    split: str = ""
    trainable: bool = True
    size: int | None = None

    def evaluate(self, *options: str) -> str:
        """Measures again with further options."""
        size = () if "--size" in options else self._size
        return self._line("evaluate", self.data, "--model", self.model, *self._split, *size, *options)

    def predict(self, *images: str, score: float, out: str) -> str:
        """Draws what is found in images, or in a folder of them, from a score on."""
        chosen = images[:_MOST_IMAGES]
        options = ("--model", self.model, *self._size, "--score", f"{score:.2f}", "--out", out)
        return self._line("predict", *chosen, *options)

    def train(self, *options: str) -> str:
        """Trains the model further on the data; "" if the data has no part for that."""
        if not self.trainable:
            return ""
        exported = Path(self.model).suffix.lower() in _EXPORTED
        start = () if exported else ("--init", self.model)
        return self._line("train", self.data, *start, *options, "--out", "runs/next")

    def view(self, *options: str) -> str:
        """Draws the labels with their names."""
        split = ("--split", self.split) if self.split else ()
        return self._line("dataset view", self.data, *split, *options, "--out", "labels.png")

    def doctor(self) -> str:
        """Checks the labels and the splits."""
        return self._line("doctor", self.data)

    def renamed(self, names: dict[str, str]) -> str:
        """Measures again, some classes of the data under other names."""
        place = f"{{path: {_yaml(str(Path(self.data).resolve()))}, "
        place += f"split: {_yaml(self.split)}, " if self.split else ""
        pairs = ", ".join(f"{_yaml(old)}: {_yaml(new)}" for old, new in names.items())
        text = f"val: {place}rename: {{{pairs}}}}}"
        return f"echo {shlex.quote(text)} > renamed.yaml; " + self._line(
            "evaluate", "renamed.yaml", "--model", self.model, *self._size
        )

    @property
    def _split(self) -> tuple[str, ...]:
        return ("--split", self.split) if self.split not in ("", "val") else ()

    @property
    def _size(self) -> tuple[str, ...]:
        return () if self.size is None else ("--size", str(self.size))

    def _line(self, verb: str, *words: str) -> str:
        trust = ("--trust",) if self.model.lower().endswith(".pt2") and verb in ("evaluate", "predict") else ()
        return " ".join(("maskrcnn", verb, *map(shlex.quote, (*words, *trust))))


def _yaml(text: str) -> str:
    """A name as YAML text in quotes."""
    return f'"{text}"' if not set(text) & set('"\\') else "'" + text.replace("'", "''") + "'"
