"""The saved state, from which a run resumes to the bit: one safetensors file, replaced as a whole, and the one before.

Tensors are those of the model, the average (``ema.``) and the optimiser (``optimizer.``), in full precision; the rest
is JSON in the file's metadata. No random generator needs saving: random numbers follow from the seed and the step.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import ConfigDict, Field, NonNegativeInt, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from typing_extensions import NotRequired, TypedDict

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import parse_json, shown
from maskrcnn.output.atomic_file import replacing, sync
from maskrcnn.text import first_line
from maskrcnn.training.learner import Learner
from maskrcnn.training.run_folder import PREVIOUS_STATE, STATE
from maskrcnn.weights.safetensors_file import save_tensors

FORMAT = "maskrcnn-run-1"


@dataclass
class RunState:
    """The counters of a run, as saved."""

    steps: NonNegativeInt = 0
    images: NonNegativeInt = 0  # taken from the stream, by all processes
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    evaluations: NonNegativeInt = 0
    stale: NonNegativeInt = 0  # evaluations since the best
    best: dict[str, float] = field(default_factory=dict)  # metrics, and the step
    bad_steps: NonNegativeInt = 0  # left out, as a loss or gradient was not finite
    untimed_steps: NonNegativeInt = 0  # at the start, as they include one-time work
    # At the end of those steps, or when the first batch was loaded.
    untimed_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class _About(TypedDict):
    """What a run needs to be resumed: recipe, architecture, and data; of an overfitted run, how many images of it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    recipe: dict[str, Any]
    config: dict[str, Any]
    images_a_step: Annotated[int, Field(ge=1)]
    data: int
    source: str
    overfit: NotRequired[Annotated[int, Field(ge=1)] | None]


_RUN_STATE, _ABOUT = TypeAdapter(RunState), TypeAdapter(_About)
_SCALER: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])


class SavedRun(NamedTuple):
    """A run as read from its file."""

    state: RunState
    about: dict[str, Any]
    scaler: dict[str, Any]  # state of the fp16 scaler, empty in other precisions
    ema_steps: int
    tensors: dict[str, Tensor]
    damage: str  # why the newer file was not used, if it was not


def save_state(folder: Path, state: RunState, about: dict[str, Any], learner: Learner) -> None:
    """Write the state of a run; whenever the process dies, a whole file is left. Raises `MaskRCNNError` on failure."""
    scaler = learner.accelerator.scaler
    tensors = {f"model.{name}": value for name, value in learner.model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in learner.ema.model.state_dict().items()}
    for number, value in enumerate(_parameters(learner.optimizer)):
        moments = learner.optimizer.state.get(value, {})
        tensors |= {f"optimizer.{number}.{name}": moment for name, moment in moments.items() if moment is not None}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {
        "format": FORMAT,
        "state": json.dumps(state.__dict__),
        "about": json.dumps(about),
        "scaler": json.dumps(scaler.state_dict() if scaler is not None else {}),
        "ema_steps": str(learner.ema.steps),
        "checksum": str(_checksum(tensors)),
    }
    with replacing(folder / STATE) as part:
        save_tensors(part, tensors, metadata)
        sync(part)
        if (folder / STATE).is_file():
            (folder / PREVIOUS_STATE).unlink(missing_ok=True)
            try:  # a link: readers find the state under its first name until that is replaced
                os.link(folder / STATE, folder / PREVIOUS_STATE)
            except OSError:  # a file system without links
                (folder / STATE).replace(folder / PREVIOUS_STATE)


def read_state(folder: Path, tensors: bool = True) -> SavedRun:
    """The run saved in a folder: the newer file, or the previous one if that is damaged.

    Raises:
        MaskRCNNError: there is none, or none that can be read.
    """
    damage: list[str] = []
    for name in (STATE, PREVIOUS_STATE):
        if (folder / name).is_file():
            try:
                return _read(folder / name, tensors, "; ".join(damage))
            except MaskRCNNError as error:
                damage.append(str(error))
    if damage:
        raise MaskRCNNError(
            "; ".join(damage), fix=f"start a new run from its weights: init {folder / 'last.safetensors'}"
        )
    raise MaskRCNNError(
        f"expected an unfinished run with its {STATE}, found none",
        where=folder,
        fix=f"resume takes the folder of a run; to train a finished one further: init {folder}/last.safetensors",
    )


def _read(path: Path, with_tensors: bool, damage: str) -> SavedRun:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()} if with_tensors else {}  # noqa: SIM118
        if metadata.get("format") != FORMAT:
            raise ValueError(f"expected the state of a run, {FORMAT}, found {shown(metadata.get('format'))}")
        if with_tensors and str(_checksum(tensors)) != metadata["checksum"]:
            raise ValueError("its checksum does not fit")
        state = _RUN_STATE.validate_python(parse_json(metadata["state"]))
        about = _ABOUT.validate_python(parse_json(metadata["about"]))
        scaler = _SCALER.validate_python(parse_json(metadata["scaler"]))
        return SavedRun(state, dict(about), scaler, int(metadata["ema_steps"]), tensors, damage)
    except (MaskRCNNError, SafetensorError, RuntimeError, OSError, KeyError, TypeError, ValueError) as error:
        what = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "its record"
            what = f"{place}: {first['msg']}, found {shown(first['input'])}"
        raise MaskRCNNError(f"the saved state is damaged: {what}", where=path) from None


@torch.no_grad()
def restore(saved: SavedRun, learner: Learner) -> None:
    """Load what was saved into model, average, optimiser and scaler.

    The learner's tensors keep their memory format, as it decides how sums are rounded.

    Raises:
        MaskRCNNError: a tensor is missing, or of another shape.
    """
    try:
        for prefix, target in (("model.", learner.model), ("ema.", learner.ema.model)):
            for name, value in target.state_dict().items():
                value.copy_(saved.tensors[prefix + name])
        learner.ema.steps = saved.ema_steps
        parameters = _parameters(learner.optimizer)
        for name, value in saved.tensors.items():
            if name.startswith("optimizer."):
                _, number, moment = name.split(".")
                like = parameters[int(number)]
                if value.shape == like.shape:
                    value = torch.empty_like(like, dtype=value.dtype, requires_grad=False).copy_(value)
                learner.optimizer.state[like][moment] = value
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        what = f"the saved state is not of this model: {first_line(error)}"
        raise MaskRCNNError(
            what, fix="start a new run from the weights of this one: init with its last.safetensors"
        ) from None
    if learner.accelerator.scaler is not None and saved.scaler:
        learner.accelerator.scaler.load_state_dict(saved.scaler)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [value for group in optimizer.param_groups for value in group["params"]]


def _checksum(tensors: dict[str, Tensor]) -> int:
    """CRC-32 of all bytes: safetensors notices a truncated file, but not a flipped bit."""
    checksum = 0
    for name in sorted(tensors):
        checksum = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, checksum)
    return checksum
