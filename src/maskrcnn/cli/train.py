"""`maskrcnn train DATA`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from maskrcnn.cli.console import SOME_SKIPPED, metrics_table, out, show_report, warn
from maskrcnn.errors import MaskRCNNError

if TYPE_CHECKING:
    from maskrcnn.evaluate.evaluator import Evaluation


def train(
    data: Annotated[
        Path, typer.Argument(help="Folder (or .json, .yaml) with images and masks; its format is detected.")
    ],
    folder: Annotated[Path, typer.Option("--out", help="Where checkpoints and the history go.")] = Path("runs/train"),
    recipe: Annotated[Path | None, typer.Option(help="YAML file of settings; options given here win over it.")] = None,
    preset: Annotated[str | None, typer.Option(help="lite, resnet50_fpn or resnet50_fpn_v2.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Model to start from; classes of the same name keep their rows.")
    ] = None,
    backbone_weights: Annotated[
        str | None, typer.Option(help="ImageNet weights: a .pth file, or package:NAME.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Fit the schedule to this many minutes.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the data, without --minutes.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    canvas: Annotated[int | None, typer.Option(help="Training images are cut or padded to this square.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw or sgd.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    evaluations: Annotated[int | None, typer.Option(help="How often to evaluate on the val split.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read images.")] = None,
    seed: Annotated[int | None, typer.Option(help="A seed reproduces a run.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting of a recipe: name=value.")
    ] = None,
) -> None:
    """Train on your own images: COCO JSON, or images with id masks. Keeps `last` and `best` checkpoints."""
    from maskrcnn.data.dataset import has_split, open_dataset
    from maskrcnn.train.recipe import read_recipe
    from maskrcnn.train.trainer import Trainer

    changes: dict[str, Any] = {
        "preset": preset,
        "init": init,
        "backbone_weights": backbone_weights,
        "minutes": minutes,
        "epochs": epochs,
        "batch_size": batch_size,
        "canvas": canvas,
        "lr": lr,
        "optimizer": optimizer,
        "precision": precision,
        "evaluations": evaluations,
        "workers": workers,
        "seed": seed,
    }
    chosen = read_recipe(recipe, changes | dict(_setting(text) for text in setting or ()))
    train_data = open_dataset(data, "train")
    val_data = open_dataset(data, "val") if has_split(data, "val") else None
    for dataset in (train_data, val_data):
        for problem in dataset.problems if dataset else ():
            warn(str(problem))
    out.print(f"classes: {', '.join(chosen.names or train_data.names)}", highlight=False)
    out.print(f"train: {len(train_data)} images, val: {len(val_data) if val_data else 'none'}")
    with LiveDisplay() as display:
        trainer = Trainer(chosen, train_data, val_data, folder, display, device)
        show_report(trainer.report)
        out.print(f"{trainer.precision} on {trainer.accelerator.device}")
        run = trainer.run()
    rate = run.images / max(run.seconds, 1e-9)
    out.print(f"{run.steps} steps, {run.images} images in {run.seconds / 60:.1f} min, {rate:.1f} images/s")
    if run.best:
        out.print(f"best on val: mask AP {run.best['mask_AP']:.1f}, box AP {run.best['box_AP']:.1f}")
    out.print(f"checkpoints in {folder}" + (" (stopped early)" if run.interrupted else ""), highlight=False)
    if run.skipped or any(dataset.skipped or dataset.dropped for dataset in (train_data, val_data) if dataset):
        raise typer.Exit(SOME_SKIPPED)


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise MaskRCNNError(f"--set {text}: expected name=value")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


class LiveDisplay:
    """Progress bars for a terminal: losses, images a second, time left."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[text]}"),
            console=out,
            disable=not out.is_terminal,
        )
        self.training = self.progress.add_task("train", total=1.0, text="starting")
        self.evaluation: Any = None

    def __enter__(self) -> LiveDisplay:
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def note(self, line: str) -> None:
        warn(line)

    def step(self, progress: float, losses: dict[str, float], images_per_second: float, remaining_s: float) -> None:
        parts = " ".join(f"{name} {value + 0.0:.3f}" for name, value in losses.items())
        minutes, seconds = divmod(int(remaining_s), 60)
        text = (
            f"loss {sum(losses.values()):.3f} ({parts})  {images_per_second:.1f} images/s  {minutes}:{seconds:02d} left"
        )
        self.progress.update(self.training, completed=progress, text=text)
        if not out.is_terminal:
            out.print(f"{progress:.1%}  {text}", highlight=False)

    def evaluating(self, done: int, total: int) -> None:
        if self.evaluation is None:
            self.evaluation = self.progress.add_task("evaluate", total=total, text="")
        self.progress.update(self.evaluation, completed=done, text=f"{done} of {total} images")

    def evaluated(self, evaluation: Evaluation, best: bool) -> None:
        if self.evaluation is not None:
            self.progress.remove_task(self.evaluation)
            self.evaluation = None
        out.print(metrics_table(evaluation, "validation" + (" (best so far)" if best else "")))
