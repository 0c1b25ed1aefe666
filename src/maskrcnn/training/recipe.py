"""A training recipe: every choice of a run in one record, from a YAML file, command-line options or both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError, errors_at
from maskrcnn.json_yaml import read_yaml, shown
from maskrcnn.text import suggestion

PEAK_RATES = {"adamw": 5e-4, "sgd": 0.01}
AUTO, SCRATCH = "auto", "none"  # values of init beside a model
USUAL_EPOCHS, USUAL_STEPS = 30, 300


def _reject_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number")
    return value


def _reject_none(value: Any) -> Any:
    if value is None:
        raise ValueError(f"expected a model, '{AUTO}' or '{SCRATCH}'")
    return value


# Numbers of a recipe are finite and not True or False. Upper limits are far above any use: they catch typing errors.
Whole = Annotated[int, BeforeValidator(_reject_bool)]
Real = Annotated[float, BeforeValidator(_reject_bool), Field(allow_inf_nan=False)]
Count = Annotated[Whole, Field(ge=0, le=10**6)]
Steps = Annotated[Whole, Field(ge=0, le=10**9)]
Duration = Annotated[Real, Field(gt=0, le=1e6)]
Share = Annotated[Real, Field(gt=0, lt=1)]
Portion = Annotated[Real, Field(ge=0, le=1)]
Zoom = Annotated[Real, Field(ge=0.01, le=100)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]


class Recipe(BaseModel):
    """How to train. Field descriptions are the command line's help."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = Field("lite", description="architecture: lite, resnet50_fpn or resnet50_fpn_v2")
    model: dict[str, Any] = Field(default_factory=dict, description="changes to the preset's settings")
    init: Annotated[Text, BeforeValidator(_reject_none)] = Field(
        AUTO,
        description="checkpoint or model name to start from, rows go by class name; auto takes what is at hand "
        "and suits network and data best, none starts from random weights",
    )
    backbone_weights: Text | None = Field(None, description="ImageNet weights: a .pth, or package:NAME")
    names: tuple[Text, ...] | None = Field(None, description="other names for the data's classes, in their order")

    channels: Literal["auto", "rgb", "stored"] = Field(
        "auto",
        description="rgb reads images as 8-bit pictures, stored takes all channels and bits there are, auto does that "
        "for images that have more than an 8-bit picture",
    )
    minutes: Duration | None = Field(None, description="fit the schedule to this much wall-clock time")
    epochs: Duration | None = Field(
        None,
        description=f"passes over the data, unless minutes are given; without either {USUAL_EPOCHS}, "
        f"or as many as make {USUAL_STEPS} steps",
    )
    patience: Count = Field(0, description="stop after so many evaluations without a better mask AP; 0 never")
    target_ap: Real | None = Field(None, gt=0, le=100, description="stop when the val split's mask AP is above it")
    batch_size: Annotated[Whole, Field(ge=1, le=2**16)] | Literal["auto"] = Field(
        8, description="images a process takes at once; auto takes as many as fit into memory"
    )
    accumulate: Whole = Field(1, ge=1, le=2**16, description="batches whose gradients are added up for one step")
    canvas: Annotated[Whole, Field(ge=64, le=2**14, multiple_of=32)] | Literal["own"] = Field(
        512, description="training images are cut or padded to this square; own leaves each at its own size"
    )
    scale_jitter: tuple[Zoom, Zoom] = Field(
        (0.6, 1.6), description="random zoom, smallest and largest; 0.1, 2 is large-scale jitter"
    )
    object_crops: Portion = Field(
        0.5, description="share of the cuts that show a random object whole, small ones favoured"
    )
    copy_paste: Portion = Field(0.0, description="share of the images that get objects of another image pasted in")
    flip: bool = Field(True, description="mirror images left to right at random")
    turns: bool = Field(False, description="also turn and flip freely, for images without an up")
    stains: bool = Field(False, description="also free hues, negatives, grey and other dyes, where colour is a stain")
    colour: Portion = Field(0.4, description="strength of random colour changes")

    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw or sgd")
    lr: Real | None = Field(
        None,
        gt=0,
        description="peak learning rate at lr_batch; by default 5e-4 for adamw, 1e-3 from a model of the preset lite, "
        "and 0.01 for sgd",
    )
    lr_batch: Whole = Field(
        8,
        ge=1,
        le=2**32,
        description="images a step that lr is meant for; the rate used grows from there with the images of a step "
        "(batch_size * accumulate * processes): in proportion for sgd, with their square root for adamw",
    )
    layer_decay: Real = Field(1.0, gt=0, le=1, description="each backbone stage learns at this share of the next one")
    freeze: tuple[Annotated[Whole, Field(ge=0)] | Text, ...] | Literal["auto"] = Field(
        "auto",
        description="parts of the backbone that do not learn: norms (all batch norms), stages 0 (the stem) to 4 with "
        "their norms, or names of modules; auto freezes the norms of pretrained weights, [] nothing",
    )
    weight_decay: Real = Field(0.05, ge=0, le=100, description="weight decay, on weights of two or more dimensions")
    schedule: Literal["cosine", "step"] = Field(
        "cosine", description="how the rate falls after warm-up: cosine or step"
    )
    step_at: tuple[Share, ...] = Field((2 / 3, 8 / 9), description="shares of the run at which step divides it by 10")
    warmup_steps: Steps = Field(100, description="steps of linear warm-up, at most; a tenth of the run if that is less")
    clip_norm: Real = Field(5.0, gt=0, description="largest gradient norm")
    ema: Real = Field(0.998, ge=0, lt=1, description="decay of the averaged weights; 0 turns averaging off")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto, fp32, bf16 or fp16")
    compile: bool = Field(
        False, description="compile backbone and pyramid: a minute or two at the start; on a CPU it does not pay"
    )
    skip_bad_steps: Steps = Field(
        0, description="leave out so many steps whose loss or gradient is not a finite number before giving up"
    )

    evaluations: Count = Field(
        4,
        description="evaluations on the val split, evenly spread, the last at the end; one that would take more than a "
        "tenth of the minutes is left out, but for the last",
    )
    save_minutes: Real = Field(
        2.0, ge=0, le=1e6, description="how often to save what a run needs to go on; 0: every step"
    )
    track: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        (), description="also log to tensorboard, wandb or mlflow"
    )
    workers: Annotated[Whole, Field(ge=0, le=1024)] | None = Field(
        None, description="processes that read images, at most 8 a core; by default one less than there are cores"
    )
    seed: Whole = Field(0, ge=0, lt=2**32, description="a seed and a precision reproduce a run")

    @model_validator(mode="after")
    def _check_order(self) -> Recipe:
        low, high = self.scale_jitter
        if low > high:
            raise ValueError(f"scale_jitter: expected the smallest zoom first, found {low:g}, {high:g}")
        if list(self.step_at) != sorted(set(self.step_at)):
            raise ValueError(f"step_at: expected rising shares, found {shown(self.step_at)}")
        for name, count in Counter(self.names or ()).items():
            if count > 1:
                raise ValueError(f"names: expected each once, found {shown(name)} {count} times")
        return self

    def learning_rate(self, images: int) -> float:
        """The peak learning rate for steps of ``images`` images.

        SGD's noise keeps its scale if the rate grows in proportion (Goyal et al. 2017), Adam's with the square root
        (Malladi et al. 2022).
        """
        grown = images / self.lr_batch
        return (self.lr or PEAK_RATES[self.optimizer]) * (grown if self.optimizer == "sgd" else grown**0.5)

    def total_steps(self, data: int, images: int) -> int:
        """Steps of a run without ``minutes``, on ``data`` images in steps of ``images``."""
        epochs, least = (USUAL_EPOCHS, USUAL_STEPS) if self.epochs is None else (self.epochs, 1)
        return max(math.ceil(epochs * data / images), least)


def given(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes without those to None, which leave a setting as it is; but for init, where None may mean "none"."""
    return {name: value for name, value in changes.items() if value is not None or name == "init"}


def as_recorded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file, in which earlier versions wrote null for random weights."""
    return {name: SCRATCH if name == "init" and value is None else value for name, value in settings.items()}


def read_recipe(path: Path | None, changes: Mapping[str, Any]) -> Recipe:
    """The recipe of a YAML file with some fields changed; a change to None is ignored, but for init an error.

    Raises:
        MaskRCNNError: the file is not YAML, a name is unknown, or a value is not allowed.
    """
    data: Any = {}
    if path is not None:
        with errors_at(path, "not a readable recipe: "):
            data = read_yaml(path) or {}
        if not isinstance(data, dict):
            raise MaskRCNNError(f"expected 'name: value' lines, found {type(data).__name__}", where=path)
    data = as_recorded({str(name): value for name, value in data.items()}) | given(changes)
    try:
        with errors_at(path):
            recipe = Recipe(**data)
            if recipe.init in (AUTO, SCRATCH):  # else the model's settings are checked when the checkpoint is read
                preset(recipe.preset).replace(**recipe.model)
    except ValidationError as error:
        raise _first_mistake(error, path) from None
    return recipe


def _first_mistake(error: ValidationError, path: Path | None) -> MaskRCNNError:
    """The first validation error, with the setting's name and value."""
    problem = error.errors(include_url=False, include_context=False)[0]
    # After the field's name, positions in a list are kept; branches of a union are not.
    name = ".".join(str(part) for place, part in enumerate(problem["loc"]) if not place or isinstance(part, int))
    if problem["type"] == "extra_forbidden":
        return MaskRCNNError(f"unknown setting {shown(name)}", where=path, fix=suggestion(name, Recipe.model_fields))
    what = problem["msg"].removeprefix("Value error, ")
    if problem["loc"]:  # else it is about several values
        what = f"{name}: {what}, found {shown(problem['input'])}"
    return MaskRCNNError(what, where=path, fix="correct it")
