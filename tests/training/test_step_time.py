"""How many steps a run has, by hand; and runs whose clock is a stub: what they say and how fast they learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maskrcnn.training import trainer as trainer_module
from maskrcnn.training.learner import Learner
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.state import RunState
from maskrcnn.training.step_time import FEW_STEPS, StepTimer, duration_text
from maskrcnn.training.training_result import TrainingResult
from tests.small_learner import at_update, history

Train = Callable[..., tuple[TrainingResult, Any]]


def timer(
    steps: int, seconds: float, total: int = 1, untimed: tuple[int, float] = (0, 0.0), **settings: Any
) -> StepTimer:
    state = RunState(steps=steps, seconds=seconds, untimed_steps=untimed[0], untimed_s=untimed[1])
    return StepTimer(Recipe(**settings), state, total)


def test_a_run_by_the_clock_has_as_many_steps_as_fit() -> None:
    assert timer(0, 3.0, minutes=8).steps is None
    assert timer(1, 51.0, untimed=(0, 3.0), minutes=8).steps == pytest.approx(1 + (480 - 51) / 48)
    assert timer(1, 20.0, untimed=(1, 20.0), minutes=8).steps is None
    assert timer(3, 22.0, untimed=(1, 20.0), minutes=8).steps == pytest.approx(3 + 458)
    assert timer(9, 500.0, minutes=8).steps == 9


def test_warm_up_is_a_tenth_of_a_run_and_never_more_than_the_recipe_says() -> None:
    assert timer(0, 0.0, total=10).warmup_steps == pytest.approx(1)
    assert timer(0, 0.0, total=400).warmup_steps == pytest.approx(40)
    assert timer(0, 0.0, total=4000).warmup_steps == 100
    assert timer(0, 0.0, total=4000, warmup_steps=7).warmup_steps == 7
    assert timer(0, 0.0, minutes=8).warmup_steps == 100
    assert timer(1, 48.0, minutes=8).warmup_steps == pytest.approx(1)
    assert timer(10, 48.0, minutes=8, warmup_steps=0).warmup_steps == 0


def test_the_time_that_is_left() -> None:
    assert timer(10, 60.0, minutes=8).remaining_s == 420
    assert timer(10, 60.0, total=40).remaining_s == pytest.approx(180)
    assert timer(11, 60.0, total=41, untimed=(1, 40.0)).remaining_s == pytest.approx(60)
    assert timer(1, 40.0, total=3, untimed=(1, 40.0)).remaining_s == pytest.approx(80)


def test_words() -> None:
    told = [duration_text(seconds) for seconds in (0.0471, 3.26, 48.3, 99.6, 480, 5400, 9000, 360_000)]
    assert told == ["0.047 s", "3.3 s", "48 s", "1.7 minutes", "8 minutes", "90 minutes", "2.5 hours", "100 hours"]
    assert timer(1, 48.0, minutes=8).line() == "a step takes about 48 s: about 10 fit into 8 minutes"
    assert timer(2, 4.0, total=302).line() == "a step takes about 2 s: about 10 minutes for the 300 that are left"
    assert "minutes 240, canvas 256, batch_size 2" in timer(1, 48.0, minutes=8).advice()
    assert timer(0, 0.0, minutes=8, canvas=256, batch_size=2).advice().startswith("give it more time, or cheaper steps")
    assert "steps are 30 epochs" in timer(0, 0.0, total=10, epochs=1).advice()


def test_threads_that_wait_for_busy_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = timer(1, 48.0, minutes=8)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    for load, threads, told in ((12.0, 2, True), (12.0, 1, False), (3.0, 2, False)):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        monkeypatch.setattr("torch.get_num_threads", lambda threads=threads: threads)
        assert ("OMP_NUM_THREADS=1" in slow.advice()) == told


class Clock:
    """Time that only steps take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
        self.now, update = 1000.0, Learner.update

        def timed(learner: Learner, rate: float) -> torch.Tensor:
            self.now += step_s
            return update(learner, rate)

        monkeypatch.setattr(Learner, "update", timed)
        monkeypatch.setattr(trainer_module, "time", self)

    def monotonic(self) -> float:
        return self.now


def rates(folder: Path) -> list[float]:
    return [float(row["lr"]) for row in history(folder) if row["lr"]]


def test_eight_minutes_of_slow_steps_leave_warm_up_and_say_that_they_are_few(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch, 48.0)
    run, display = train(shapes, tmp_path / "run", minutes=8, warmup_steps=100, lr=1e-3, lr_batch=2)
    assert run.steps == 10
    assert max(rates(run.folder)) > 0.9e-3
    assert "a step takes about 48 s: about 10 fit into 8 minutes" in display.lines
    (warning,) = (line for line in display.lines if line.startswith("too short"))
    assert "minutes 240" in warning
    first_loss = display.lines.index(warning)
    assert display.lines[first_loss - 1].startswith("a step takes")
    assert any("only 10 steps" in line for line in display.lines[first_loss + 1 :])
    assert any("8 minutes, of 2 images each" in line for line in display.lines)


def test_enough_steps_are_not_called_few(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    Clock(monkeypatch, 2.0)
    run, display = train(shapes, tmp_path / "run", minutes=2 * FEW_STEPS / 60, lr=1e-5)
    assert run.steps == FEW_STEPS
    assert not [line for line in display.lines if "too short" in line or "only" in line]


def test_few_steps_by_count_are_told_before_the_first(shapes: Path, tmp_path: Path, train: Train) -> None:
    run, display = train(shapes, tmp_path / "run", epochs=5, warmup_steps=100, lr=1e-3, lr_batch=2)
    assert run.steps == 10
    assert max(rates(run.folder)) > 0.9e-3
    (warning,) = (line for line in display.lines if line.startswith("too short"))
    assert "steps are 150 epochs" in warning
    assert display.lines.index(warning) < next(
        i for i, line in enumerate(display.lines) if "step 1 has started" in line
    )


def test_a_run_by_the_clock_goes_on_at_the_rates_it_would_have_had(
    shapes: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, 6.0)
    settings: dict[str, Any] = {"minutes": 2, "warmup_steps": 100, "save_minutes": 0, "epochs": None}
    train(shapes, tmp_path / "whole", **settings)

    def die() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        at_update(2, die, patch)
        with pytest.raises(KeyboardInterrupt):
            train(shapes, tmp_path / "run", **settings)
    clock.now += 12345
    train(shapes, tmp_path / "run", resume=True, **settings)
    assert rates(tmp_path / "run") == rates(tmp_path / "whole")
    assert len(rates(tmp_path / "run")) == 20


@pytest.mark.parametrize(("data", "images", "expected"), [(3, 8, 300), (1000, 8, 3750), (80, 8, 300), (81, 8, 304)])
def test_by_default_small_data_is_seen_more_often(data: int, images: int, expected: int) -> None:
    assert Recipe().total_steps(data, images) == expected


def test_epochs_that_were_asked_for_are_made() -> None:
    assert Recipe(epochs=30).total_steps(3, 8) == 12
    assert Recipe(epochs=0.01).total_steps(3, 8) == 1
