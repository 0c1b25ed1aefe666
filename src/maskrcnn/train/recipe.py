"""A training recipe: every choice of a run in one record, from a YAML file, command-line options or both."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from maskrcnn.errors import MaskRCNNError


class Recipe(BaseModel):
    """How to train. Field descriptions are the command line's help."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = Field("lite", description="architecture: lite, resnet50_fpn or resnet50_fpn_v2")
    model: dict[str, Any] = Field(default_factory=dict, description="changes to the preset's settings")
    init: str | None = Field(None, description="checkpoint or model name to start from; rows go by class name")
    backbone_weights: str | None = Field(None, description="ImageNet weights: a .pth, or package:NAME")
    names: tuple[str, ...] | None = Field(None, description="other names for the data's classes, in their order")

    minutes: float | None = Field(None, gt=0, description="fit the schedule to this much wall-clock time")
    epochs: float = Field(30, gt=0, description="passes over the data, unless minutes are given")
    batch_size: int = Field(8, ge=1, description="images a step")
    canvas: int = Field(512, ge=64, multiple_of=32, description="training images are cut or padded to this square")
    scale_jitter: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.6, 1.6), description="random zoom, smallest and largest"
    )
    flip: bool = Field(True, description="mirror images left to right at random")
    turns: bool = Field(False, description="also turn and flip freely, for images without an up")
    stains: bool = Field(False, description="also free hues, negatives and grey, where colour is a stain")
    colour: float = Field(0.4, ge=0, le=1, description="strength of random colour changes")

    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw or sgd")
    lr: float | None = Field(None, gt=0, description="peak learning rate; 5e-4 for adamw, 0.02 * batch / 16 for sgd")
    weight_decay: float = Field(0.05, ge=0, description="weight decay, on weights of two or more dimensions")
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up before the cosine")
    clip_norm: float = Field(5.0, gt=0, description="largest gradient norm")
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights; 0 turns averaging off")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto, fp32, bf16 or fp16")

    evaluations: int = Field(4, ge=0, description="evaluations on the val split, evenly spread, the last at the end")
    workers: int | None = Field(None, ge=0, description="processes that read images; one a core but one unless given")
    seed: int = Field(0, ge=0, description="a seed reproduces a run")

    @property
    def learning_rate(self) -> float:
        """The peak learning rate."""
        return self.lr or (5e-4 if self.optimizer == "adamw" else 0.02 * self.batch_size / 16)


def read_recipe(path: Path | None, changes: dict[str, Any]) -> Recipe:
    """The recipe of a YAML file with some fields changed; None among the changes leaves a field alone."""
    data: Any = {}
    if path is not None:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise MaskRCNNError(f"not a readable recipe: {error}", where=path) from None
        if not isinstance(data, dict):
            raise MaskRCNNError(f"expected 'name: value' lines, found {type(data).__name__}", where=path)
    data = {str(name): value for name, value in data.items()} | {
        name: value for name, value in changes.items() if value is not None
    }
    try:
        return Recipe(**data)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        if problem["type"] != "extra_forbidden":
            raise MaskRCNNError(f"{name}: {problem['msg']}, found {problem['input']!r}", where=path) from None
        close = difflib.get_close_matches(name, Recipe.model_fields, n=1)
        known = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(Recipe.model_fields)}"
        raise MaskRCNNError(f"unknown setting {name!r}", where=path, fix=known) from None
