"""How a run went: its folder, best metrics, history and weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn.annotations.problem import Problem
from maskrcnn.argument_checks import is_whole
from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.evaluation import Evaluation
from maskrcnn.evaluation.recommendation import Recommendation
from maskrcnn.html_table import escaped, html_lines, html_table
from maskrcnn.text import plural
from maskrcnn.training.metrics_log import read_metrics_csv
from maskrcnn.training.run_curves import curves_svg
from maskrcnn.training.run_folder import METRICS

if TYPE_CHECKING:
    from maskrcnn.inference.predictor import Predictor

_SHOWN = {"AP": "AP", "AP50": "AP50", "AP75": "AP75", "AR": "AR"}


@dataclass
class TrainingResult:
    """How a run went. In a notebook it shows its curves and its best metrics.

    Attributes:
        folder: with `best.safetensors`, `last.safetensors`, `history.csv`, `log.txt` and `recipe.json`.
        steps: that were made.
        images: that were seen, by all processes.
        seconds: of training and evaluation.
        best: the metrics in percent of the best evaluation, such as mask_AP; empty if nothing was measured.
        interrupted: whether it was stopped before its end; `maskrcnn.train(resume=folder)` goes on with it.
        ended: why it ended before the end of its schedule, if it did.
        skipped: images and objects that were left out.
        evaluation: the last one, if there was one.
        finished: whether it had ended before it was asked to go on.
        notes: what needs attention, one line each.
        learned: of a run with ``overfit``, whether its images were learned; None for any other run.
        verdict: of a run with ``overfit``, the score and what to check.
        settled: what the recipe left open and the run chose, such as the weights that it began with; one line each.
        source: where the data are; empty for open data sets, which have to be passed again to go on.
    """

    folder: Path
    steps: int
    images: int
    seconds: float
    best: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    ended: str = ""
    skipped: list[Problem] = field(default_factory=list)
    evaluation: Evaluation | None = None
    finished: bool = False
    notes: list[str] = field(default_factory=list)
    learned: bool | None = None
    verdict: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    source: str = ""

    @property
    def weights(self) -> Path:
        """The file of the best weights; without a val split, that of the last."""
        best, last = (self.folder / f"{name}.safetensors" for name in ("best", "last"))
        return best if best.is_file() else last

    @property
    def history(self) -> list[dict[str, float]]:
        """A row for each step (step, seconds, lr, the five losses, grad_norm) and each evaluation (mask_AP, box_AP).

        A row has only the values that were measured. `pandas.DataFrame(run.history)` is a table.
        """
        path = self.folder / METRICS
        rows = read_metrics_csv(path) if path.is_file() else []
        return [{name: float(value) for name, value in row.items() if value} for row in rows]

    @property
    def next_step(self) -> Recommendation | None:
        """What to do next, by the last evaluation; None where nothing was measured, or nothing stands out.

        `maskrcnn.evaluate` says more, and writes a report.
        """
        steps = self.evaluation.next_steps if self.evaluation is not None else []
        return steps[0] if steps else None

    def model(self, device: str = "auto", precision: str = "auto", **options: Any) -> Predictor:
        """A predictor of the best weights; the arguments are those of `maskrcnn.load`.

        Raises:
            MaskRCNNError: no weights were saved yet.
        """
        from maskrcnn.inference.loading import load

        if not self.weights.is_file():
            raise MaskRCNNError("the run has saved no weights", where=self.folder, fix="train it for longer")
        return load(self.weights, device, precision, **options)  # type: ignore[return-value]

    def lines(self) -> list[str]:
        """How the run went, a fact a line."""
        speed = f"{self.seconds / 60:.1f} min, {self.images / max(self.seconds, 1e-9):.3g} images/s"
        lines = [f"{plural(self.steps, 'step')}, {plural(self.images, 'image')} in {speed}"]
        values = {kind: self.best.get(f"{kind}_AP", math.nan) for kind in ("mask", "box")}
        found = [f"{kind} AP {value:.1f}" for kind, value in values.items() if not math.isnan(value)]
        if found:
            lines.append(f"best on val: {', '.join(found)}")
        return [*lines, *self.settled, f"checkpoints in {self.folder}"]

    def __str__(self) -> str:
        step = self.next_step
        advice = [] if step is None else step.lines("next:")
        return "\n".join([*self.lines(), *self._endings(), *advice])

    def __repr__(self) -> str:
        return f"TrainingResult({'; '.join([*self.lines(), *self._endings()])})"

    def _endings(self) -> list[str]:
        """Why the run ended early and how to go on, what was left out, and the verdict of an overfitted run."""
        lines = [self.ended if self.finished else f"ended early: {self.ended}"] if self.ended else []
        if self.interrupted:
            data = "" if self.source else "data, "
            lines.append(f"stopped; go on with maskrcnn.train({data}resume={str(self.folder)!r})")
        images, objects = (
            sum(getattr(problem, lost) for problem in self.skipped) for lost in ("images_lost", "objects_lost")
        )
        if images or objects:
            lines.append(f"left out of the data: {plural(images, 'image')}, {plural(objects, 'object')}")
        return lines + self.verdict

    def _repr_html_(self) -> str:
        kinds = [kind for kind in ("mask", "box") if not math.isnan(self.best.get(f"{kind}_AP", math.nan))]
        rows = [
            (kind, *(f"{self.best.get(f'{kind}_{metric}', math.nan):.1f}".replace("nan", "-") for metric in _SHOWN))
            for kind in kinds
        ]
        table = html_table([("best on val", *_SHOWN.values()), *rows]) if rows else ""
        lines = html_lines([*self.lines(), *self._endings(), *self.notes])
        advice = "" if self.next_step is None else f"<div>Next: {self.next_step.html()}</div>"
        return f"<div><b>{escaped(self.folder.name)}</b>{curves_svg(self.history)}{table}{lines}{advice}</div>"


def finished_run(folder: Path) -> TrainingResult:
    """The result of a run that has ended, from its folder."""
    from maskrcnn.weights.checkpoint import read_checkpoint

    about = read_checkpoint(folder / "last.safetensors").provenance
    steps, images = (about[name] if is_whole(about.get(name)) else 0 for name in ("steps", "images_seen"))
    best = about["best"] if isinstance(about.get("best"), dict) else {}
    run = TrainingResult(folder, steps, images, 0.0, {k: v for k, v in best.items() if isinstance(v, float)})
    run.seconds = max((row["seconds"] for row in run.history), default=0.0)
    run.settled = [str(line) for line in about["settled"]] if isinstance(about.get("settled"), list) else []
    run.finished = True
    run.ended = f"the run in {folder} is finished; to train on, start from its weights: init {run.weights}"
    return run
