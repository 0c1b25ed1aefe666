"""Preparing a run: devices, network, data and folder are checked and handed to a `Trainer`."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from maskrcnn.config import from_dict, to_dict
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.federated import is_federated
from maskrcnn.evaluation.subject import Subject
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.output.atomic_file import make_folder, write_text
from maskrcnn.text import plural
from maskrcnn.training import trackers
from maskrcnn.training.batch_size import fix_batch_size
from maskrcnn.training.class_examples import check_examples
from maskrcnn.training.data_defaults import Settled, asked, settle, settle_as_before
from maskrcnn.training.distributed import Processes, build_accelerator, join_processes
from maskrcnn.training.initialisation import build_model
from maskrcnn.training.interrupt import Interrupt
from maskrcnn.training.learner import Learner
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.resume_check import check_resumable, summarise
from maskrcnn.training.run_folder import DATA, LOG, RECIPE, check_free, check_space, keep_earlier_weights
from maskrcnn.training.run_log import Display, NoDisplay, RunLog
from maskrcnn.training.samples.augment import Augmentation
from maskrcnn.training.samples.loader import LoadedBatch, training_loader
from maskrcnn.training.samples.training_scale import trained_at
from maskrcnn.training.state import RunState, SavedRun, read_state, restore
from maskrcnn.training.step_time import StepTimer, duration_text
from maskrcnn.training.validation import Validation, measurable
from maskrcnn.weights.load_report import LoadReport

WORKERS_A_CORE = 8


@dataclass
class PreparedRun:
    """All that a `Trainer` works with.

    Attributes:
        recipe: without open settings: weights, limits, precision and batch size are settled.
        folder: where the run writes its files.
        learner: model, average and optimiser; restored, if the run is resumed.
        loader: this process's batches, from the first sample that no step has used.
        state: the counters of the run.
        about: saved with the state, to resume the run.
        images_a_step: of all processes together.
        subject: names for the advice on the last evaluation; None for a run that gets none, since it is measured on
            what it trains on, or knows the classes by other names than the data.
        rate: the peak learning rate.
    """

    recipe: Recipe
    train_data: Dataset
    folder: Path
    log: RunLog
    learner: Learner
    loader: DataLoader[LoadedBatch]
    state: RunState
    about: dict[str, Any]
    images_a_step: int
    subject: Subject | None
    rate: float
    timer: StepTimer
    interrupt: Interrupt
    validation: Validation

    @property
    def precision(self) -> str:
        """One of "fp32", "bf16" and "fp16", also of evaluations."""
        return self.recipe.precision


def prepare(
    recipe: Recipe,
    train_data: Dataset,
    val_data: Dataset | None,
    folder: Path,
    display: Display,
    device: str = "auto",
    resume: bool = False,
    source: str = "",
    overfit: int | None = None,
) -> PreparedRun:
    """Prepare a run of a recipe on a data set, in a folder.

    Nothing is written before weights are loaded: they may be those of an earlier run in the same folder.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        resume: continue the run saved in the folder.
        source: where the data is, for a later ``--resume``.
        overfit: how many images of it were asked for, if the run is to learn them by heart.

    Raises:
        MaskRCNNError: the recipe does not fit the data, the data has nothing to learn, or the folder holds an
            unfinished run, or none that can be resumed with this recipe and data.
    """
    trackers.require(recipe.track)
    place, processes = join_processes(device)
    if processes.main and not resume:
        check_free(folder)
    saved = processes.broadcast(read_state(folder) if processes.main and resume else None)
    names = _class_names(recipe, train_data)
    # One process decides: the others may have other files at hand, or measure another speed.
    settled = processes.broadcast(
        _settled(recipe, train_data, place, saved, display) if processes.main else Settled(recipe, [])
    )
    asked_for = saved.about.get("asked", {}) if saved else asked(recipe, settled.recipe)
    recipe = settled.recipe
    accelerator = build_accelerator(recipe, place, folder)
    report: LoadReport | None = None
    if saved is not None:
        model = MaskRCNN(from_dict(saved.about["config"]), names)
    else:
        model, report = build_model(recipe, names, train_data)
    log = _open_log(folder, display, resume, processes)
    _describe_data(log, names, train_data, val_data)
    log.say(*settled.lines, *(report.lines() if report else ()))
    learner = Learner(model, recipe, accelerator, processes)
    images_before = saved.about["images_a_step"] if saved else None
    recipe, images_a_step = fix_batch_size(recipe, learner, len(train_data), log, images_before)
    about = _record_inputs(folder, recipe, images_a_step, train_data, source, learner, saved)
    about |= {"asked": asked_for, "overfit": overfit}
    about["trained_at"] = trained_at(train_data, learner.model.config.preprocess)
    about["settled"] = saved.about.get("settled", []) if saved else settled.lines
    state = saved.state if saved else RunState()
    advised = val_data is not train_data and names == tuple(train_data.names)
    val_data, why_not = measurable(val_data, dict(zip(train_data.names, names, strict=True)), processes)
    if why_not:
        log.note(why_not)
    interrupt = Interrupt()
    run = PreparedRun(
        recipe=recipe,
        train_data=train_data,
        folder=folder,
        log=log,
        learner=learner,
        loader=_build_loader(recipe, train_data, learner, state.images),
        state=state,
        about=about,
        images_a_step=images_a_step,
        subject=_subject(folder, source) if advised else None,
        rate=recipe.learning_rate(images_a_step),
        timer=StepTimer(recipe, state, recipe.total_steps(len(train_data), images_a_step)),
        interrupt=interrupt,
        validation=Validation(val_data, recipe, state, log, interrupt),
    )
    _introduce(run, saved)
    return run


def _subject(folder: Path, source: str) -> Subject:
    """The run's best weights, and its data by the path from here where they lie below."""
    here = Path.cwd()
    near = bool(source) and Path(source).is_relative_to(here)
    data = str(Path(source).relative_to(here)) if near else source or Subject.data
    return Subject(str(folder / "best.safetensors"), data, "val")


def _class_names(recipe: Recipe, dataset: Dataset) -> tuple[str, ...]:
    """The recipe's names for the data's classes, or the data's own. Raises `MaskRCNNError` if their number differs."""
    names = recipe.names or dataset.names
    if len(names) != len(dataset.names):
        found = f"{len(dataset.names)} for the classes {dataset.names}, found {list(names)}"
        raise MaskRCNNError(f"names: expected {found}")
    return tuple(names)


def _settled(recipe: Recipe, data: Dataset, device: torch.device, saved: SavedRun | None, display: Display) -> Settled:
    """What the recipe leaves open, settled; for a saved run as it was."""
    if saved is not None:
        return Settled(settle_as_before(recipe, saved.about, device), [])
    return settle(recipe, data, device, display.say)


def _open_log(folder: Path, display: Display, resume: bool, processes: Processes) -> RunLog:
    """Make the folder and its log; weights of an earlier run in the folder are renamed."""
    make_folder(folder)
    if not processes.main:
        return RunLog(None, NoDisplay(), fresh=False)
    earlier = [] if resume else keep_earlier_weights(folder)
    log = RunLog(folder / LOG, display, fresh=not resume)
    for name in earlier:
        log.note(f"the folder's earlier weights are kept as {name}")
    return log


def _describe_data(log: RunLog, names: tuple[str, ...], train_data: Dataset, val_data: Dataset | None) -> None:
    """Log ids and names of the classes, those without an example, and what was left out of the data."""
    log.say("classes: " + ", ".join(f"{number} {name}" for number, name in enumerate(names)))
    if is_federated(train_data):
        log.note("federated labels: in training, classes that an image's labels do not mention count as absent")
    for line in check_examples(train_data):
        log.note(line)
    log.report((*train_data.problems, *(val_data.problems if val_data is not None else ())))


def _record_inputs(
    folder: Path,
    recipe: Recipe,
    images_a_step: int,
    dataset: Dataset,
    source: str,
    learner: Learner,
    saved: SavedRun | None,
) -> dict[str, Any]:
    """Restore the saved run, if it fits, and write recipe and data into the folder; returns `PreparedRun.about`."""
    data = summarise(dataset)
    about = {
        "recipe": json.loads(recipe.model_dump_json()),
        "config": to_dict(learner.model.config),
        "images_a_step": images_a_step,
        "data": zlib.crc32(json.dumps(data).encode()),
        "source": source,
        "device": learner.accelerator.device.type,
    }
    if saved is not None:
        check_resumable(folder, saved.about, about, data)
        restore(saved, learner)
    if learner.processes.main:
        check_space(folder, learner.model)
        write_text(folder / RECIPE, json.dumps(about["recipe"], indent=2))
        write_text(folder / DATA, json.dumps(data))
    return about


def _build_loader(recipe: Recipe, dataset: Dataset, learner: Learner, start: int) -> DataLoader[LoadedBatch]:
    """This process's batches of the training stream; ``start`` samples were taken before, by all processes."""
    assert isinstance(recipe.batch_size, int)
    names = {"flip", "turns", "colour", "stains", "object_crops", "copy_paste"}
    return training_loader(
        dataset,
        learner.model.config.preprocess,
        Augmentation(scale=recipe.scale_jitter, **recipe.model_dump(include=names)),
        None if recipe.canvas == "own" else recipe.canvas,
        recipe.batch_size,
        _workers(recipe),
        recipe.seed,
        pin_memory=learner.accelerator.device.type == "cuda",
        start=start,
        rank=learner.processes.rank,
        world=learner.processes.count,
    )


def _workers(recipe: Recipe) -> int:
    """Processes that read images: the recipe's, at most 8 a core; by default this process's cores less one."""
    cores = os.cpu_count() or 2
    if recipe.workers is not None:
        return min(recipe.workers, WORKERS_A_CORE * cores)
    return max(cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1, 1)


def _introduce(run: PreparedRun, saved: SavedRun | None) -> None:
    """Log what is about to happen."""
    log, recipe, val_data = run.log, run.recipe, run.validation.dataset
    log.say(f"train: {plural(len(run.train_data), 'image')}, val: {'none' if val_data is None else len(val_data)}")
    several = f", {run.learner.processes.count} processes" if run.learner.processes.count > 1 else ""
    log.say(f"{run.precision} on {run.learner.accelerator.device}{several}")
    steps = plural(run.timer.total_steps, "step")
    if recipe.minutes:
        steps = f"as many steps as fit into {duration_text(60 * recipe.minutes)},"
    log.say(f"{steps} of {plural(run.images_a_step, 'image')} each; peak learning rate {run.rate:.3g}")
    if not recipe.minutes:
        log.say(*run.timer.warnings())
    if saved is not None:
        if saved.damage:
            log.note(f"{saved.damage}; the state before it is used")
        log.say(f"going on after step {run.state.steps}")
    log.say(f"step {run.state.steps + 1} has started; the first loss follows")
