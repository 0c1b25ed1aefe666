"""A training recipe: every choice of a run in one record, from a YAML file, command-line options or both."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from maskrcnn.errors import MaskRCNNError

Share = Annotated[float, Field(gt=0, lt=1)]
PEAK_RATES = {"adamw": 5e-4, "sgd": 0.01}


class Recipe(BaseModel):
    """How to train. Field descriptions are the command line's help."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = Field("lite", description="architecture: lite, resnet50_fpn or resnet50_fpn_v2")
    model: dict[str, Any] = Field(default_factory=dict, description="changes to the preset's settings")
    init: str | None = Field(None, description="checkpoint or model name to start from; rows go by class name")
    backbone_weights: str | None = Field(None, description="ImageNet weights: a .pth, or package:NAME")
    names: tuple[str, ...] | None = Field(None, description="other names for the data's classes, in their order")

    channels: Literal["auto", "rgb", "stored"] = Field(
        "auto",
        description="rgb reads images as 8-bit pictures, stored takes all channels and bits there are, auto does that "
        "where there is more than a picture holds",
    )
    minutes: float | None = Field(None, gt=0, description="fit the schedule to this much wall-clock time")
    epochs: float = Field(30, gt=0, description="passes over the data, unless minutes are given")
    patience: int = Field(0, ge=0, description="stop after so many evaluations without a better mask AP; 0 never")
    target_ap: float | None = Field(None, gt=0, le=100, description="stop when the val split's mask AP is above it")
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        8, description="images a process takes at once; auto asks the memory"
    )
    accumulate: int = Field(1, ge=1, description="batches whose gradients are added up for one step")
    canvas: Annotated[int, Field(ge=64, multiple_of=32)] | Literal["own"] = Field(
        512, description="training images are cut or padded to this square; own leaves each at its own size"
    )
    scale_jitter: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.6, 1.6), description="random zoom, smallest and largest; 0.1, 2 is large-scale jitter"
    )
    object_crops: float = Field(
        0.5, ge=0, le=1, description="share of the cuts that show a random object whole, small ones favoured"
    )
    copy_paste: float = Field(
        0.0, ge=0, le=1, description="share of the images that get objects of another image pasted in"
    )
    flip: bool = Field(True, description="mirror images left to right at random")
    turns: bool = Field(False, description="also turn and flip freely, for images without an up")
    stains: bool = Field(False, description="also free hues, negatives and grey, where colour is a stain")
    colour: float = Field(0.4, ge=0, le=1, description="strength of random colour changes")

    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw or sgd")
    lr: float | None = Field(None, gt=0, description="peak learning rate at lr_batch; 5e-4 for adamw, 0.01 for sgd")
    lr_batch: int = Field(
        8,
        ge=1,
        description="images a step that lr is meant for; the rate used grows from there with the images of a step "
        "(batch_size * accumulate * processes): in proportion for sgd, with their square root for adamw",
    )
    layer_decay: float = Field(1.0, gt=0, le=1, description="each backbone stage learns at this share of the next one")
    freeze: tuple[int | str, ...] = Field(
        (), description="backbone stages that do not learn, norms included: 0 (the stem) to 4, or names of its modules"
    )
    weight_decay: float = Field(0.05, ge=0, description="weight decay, on weights of two or more dimensions")
    schedule: Literal["cosine", "step"] = Field(
        "cosine", description="how the rate falls after warm-up: cosine or step"
    )
    step_at: tuple[Share, ...] = Field((2 / 3, 8 / 9), description="shares of the run at which step divides it by 10")
    warmup_steps: int = Field(100, ge=0, description="steps of linear warm-up")
    clip_norm: float = Field(5.0, gt=0, description="largest gradient norm")
    ema: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights; 0 turns averaging off")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto, fp32, bf16 or fp16")
    compile: bool = Field(
        False, description="compile backbone and pyramid: a minute or two at the start; on a CPU it does not pay"
    )
    skip_bad_steps: int = Field(
        0, ge=0, description="leave out so many steps whose loss or gradient is no finite number before giving up"
    )

    evaluations: int = Field(4, ge=0, description="evaluations on the val split, evenly spread, the last at the end")
    save_minutes: float = Field(2.0, ge=0, description="how often to save what a run needs to go on; 0: every step")
    track: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        (), description="also log to tensorboard, wandb or mlflow"
    )
    workers: int | None = Field(None, ge=0, description="processes that read images; one a core but one unless given")
    seed: int = Field(0, ge=0, description="a seed reproduces a run")

    def learning_rate(self, images: int) -> float:
        """The peak learning rate for steps of so many images.

        SGD's noise keeps its scale if the rate grows in proportion (Goyal et al. 2017), Adam's with the square root
        (Malladi et al. 2022).
        """
        grown = images / self.lr_batch
        return (self.lr or PEAK_RATES[self.optimizer]) * (grown if self.optimizer == "sgd" else grown**0.5)


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
        # Behind the field's name, a place in a list is worth telling, the branch of a union is not.
        name = ".".join(str(part) for place, part in enumerate(problem["loc"]) if not place or isinstance(part, int))
        if problem["type"] != "extra_forbidden":
            raise MaskRCNNError(f"{name}: {problem['msg']}, found {problem['input']!r}", where=path) from None
        close = difflib.get_close_matches(name, Recipe.model_fields, n=1)
        known = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(Recipe.model_fields)}"
        raise MaskRCNNError(f"unknown setting {name!r}", where=path, fix=known) from None
