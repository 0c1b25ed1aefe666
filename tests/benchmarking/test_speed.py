"""Measuring speed: what is compared with what, advice that follows from the numbers, and agreement of objects."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from maskrcnn.benchmarking import speed
from maskrcnn.benchmarking.agreement import Agreement, agree
from maskrcnn.benchmarking.benchmarked_model import chosen_precisions, suited_precisions
from maskrcnn.benchmarking.speed import (
    SpeedComparison,
    Variant,
    VariantSpeed,
    input_sizes,
    make_variants,
    measure_speeds,
)
from maskrcnn.benchmarking.speed_advice import Advice, advise
from maskrcnn.config import Preprocess, preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.inference import device
from maskrcnn.inference.predictor import Predictor
from maskrcnn.masks import Crop, Masks
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.results.result import Result

CPU = torch.device("cpu")


def squares(*corners: tuple[int, int], side: int = 10, label: int = 0) -> Result:
    """A result of filled squares in an image of 100 x 100."""
    boxes = np.array([(x, y, x + side, y + side) for x, y in corners], dtype=np.float32).reshape(-1, 4)
    masks = Masks([Crop(np.ones((side, side), bool), x, y) for x, y in corners], (100, 100))
    count = len(corners)
    return Result(boxes, np.ones(count, np.float32), np.full(count, label), masks, ("a", "b"), (100, 100))


def test_objects_agree_by_class_and_mask() -> None:
    ours = squares((0, 0), (30, 30), (60, 60))
    assert agree(ours, ours) == Agreement(kept=3)
    assert agree(ours, squares((0, 1), (30, 35))) == Agreement(kept=1, lost=2, added=1)
    assert agree(ours, squares((0, 0), label=1)) == Agreement(lost=3, added=1)
    assert agree(squares(), ours) == Agreement(added=3)
    assert agree(squares(), ours).share is None
    assert Agreement(3, 1, 9).share == 0.75


def test_one_object_is_matched_once_and_best_first() -> None:
    assert agree(squares((0, 0)), squares((1, 0), (0, 0))) == Agreement(kept=1, added=1)
    # The first would take what is all the second has; the more alike pair goes first.
    assert agree(squares((0, 0), (1, 0)), squares((1, 0), (2, 0))) == Agreement(kept=1, lost=1, added=1)
    assert agree(squares((0, 0), (1, 0)), squares((1, 0), (0, 0))) == Agreement(kept=2)


def test_objects_without_a_pixel_agree_by_their_boxes() -> None:
    bare = squares((5, 5))
    bare.masks = Masks([Crop(np.zeros((10, 10), bool), 5, 5)], (100, 100))
    assert agree(bare, bare) == Agreement(kept=1)
    assert agree(bare, squares((5, 5))) == Agreement(lost=1, added=1)


def test_sizes_are_shares_of_the_models_own() -> None:
    people = Preprocess(short=(400, 400), long=672)
    assert input_sizes(people) == [((400, 400), 672), ((288, 288), 484), ((192, 192), 323)]
    assert input_sizes(people, [400, 200]) == [((400, 400), 672), ((200, 200), 336)]
    assert input_sizes(people, []) == [((400, 400), 672)]
    assert [short for short, _ in input_sizes(Preprocess(short=(640, 1024)))] == [(640, 1024), (480, 480), (320, 320)]
    assert len(input_sizes(Preprocess(short=(32, 32)))) == 1
    for edge in (31, 5000):
        with pytest.raises(MaskRCNNError, match=f"32 to 4096 pixels, found {edge}.*own is 400"):
            input_sizes(people, [edge])


def test_the_exact_form_is_always_measured_and_first() -> None:
    people = Preprocess(short=(400, 400), long=672)
    plan = make_variants(people, ["bf16"], [200], [8, 2])
    assert plan[0] == Variant("fp32", (400, 400), 672, 2)
    assert len(plan) == len(set(plan)) == 5
    assert [setting.own for setting in plan] == [True, True, True, False, False]
    assert make_variants(people, ["fp32"], [], [1]) == [Variant("fp32", (400, 400), 672)]


def test_precisions_that_suit_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bf16_instructions", lambda: "")
    taken, left_out = suited_precisions(CPU)
    assert taken == ["fp32"]
    assert [line.split(":")[0] for line in left_out] == ["fp16", "bf16"]
    monkeypatch.setattr(device, "bf16_instructions", lambda: "AMX")
    assert suited_precisions(CPU)[0] == ["fp32", "bf16"]
    assert chosen_precisions(["fp16", "auto", "fp16"], CPU) == ["fp32", "fp16"]
    with pytest.raises(MaskRCNNError, match=r"fp32, bf16, fp16 .*found 'nonsense'"):
        chosen_precisions(["fp32", "nonsense"], CPU)


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    torch.manual_seed(0)
    config = preset("lite").replace(
        backbone="resnet18", preprocess={"short": (64, 64), "long": 128}, fpn_channels=16, box_hidden=(32,),
        mask_convs=(16,), max_detections=5, score_threshold=0.0, anchor_sizes=(8, 16, 32, 64, 128),
    )  # fmt: skip
    return MaskRCNN(config, ("a", "b")).eval()


def noise(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64 + 8 * number, 80, 3), dtype=np.uint8) for number in range(count)]


def test_rows_are_measured_against_the_exact_form(model: MaskRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    predict = Predictor.predict

    def watched(
        self: Predictor, images: list[np.ndarray], score: float, batch_size: int, size: int | None
    ) -> list[Result]:
        seen.append((str(self.dtype), size))
        results = predict(self, images, score, batch_size, size=size)
        # In bf16 every image loses its best object.
        return [result[1:] if self.dtype == torch.bfloat16 else result for result in results]

    monkeypatch.setattr(Predictor, "predict", watched)
    plan = make_variants(model.config.preprocess, ["fp32", "bf16"], [32], [1])
    told = []
    images = noise(5)
    speeds = measure_speeds(model, images, plan, CPU, 0.0, 0.3, lambda what, share: told.append((what, share)))
    assert [row.variant for row in speeds.rows] == plan
    exact, half = speeds.rows[:2]
    assert exact.agreement == Agreement(kept=exact.objects)
    assert exact.objects == 5 * speeds.images
    assert half.objects == 4 * speeds.images
    assert half.agreement.lost >= speeds.images
    assert 4 <= speeds.images <= 5
    assert speeds.turns >= 1
    assert set(seen) == {(f"torch.{dtype}", size) for dtype in ("float32", "bfloat16") for size in (None, 32)}
    assert all(row.seconds > 0 for row in speeds.rows)
    assert all(0 <= share <= 1 for _, share in told)


def test_batches_are_full_and_each_image_counts_once(model: MaskRCNN) -> None:
    images = noise(3)
    speeds = measure_speeds(model, images, make_variants(model.config.preprocess, ["fp32"], [], [1, 2]), CPU, 0.0, 0.1)
    assert speeds.images == 3
    assert [row.objects for row in speeds.rows] == [15, 15]
    assert speeds.rows[0].agreement == Agreement(kept=15)


def test_times_are_medians_of_turns_that_alternate(model: MaskRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that only the network moves: 10 ms in fp32 and 5 ms in bf16, but for a hiccup of 7 s."""
    clock, calls = [0.0], []

    def pretend(self: Predictor, images: list[np.ndarray], score: float, batch_size: int, **_: Any) -> list[Result]:
        calls.append(self.dtype)
        clock[0] += 7 if len(calls) == 7 else 0.01 if self.dtype == torch.float32 else 0.005
        return [squares((0, 0)) for _ in images]

    monkeypatch.setattr(Predictor, "predict", pretend)
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    plan = make_variants(model.config.preprocess, ["fp32", "bf16"], [], [1])
    speeds = measure_speeds(model, noise(1), plan, CPU, 0.5, 7.2)
    assert [round(row.seconds, 6) for row in speeds.rows] == [0.01, 0.005]
    assert speeds.turns > 5
    single, half = torch.float32, torch.bfloat16
    assert calls[:8] == [single, half, single, half, half, single, single, half]


def test_cuda_is_timed_once_its_shapes_are_recorded(model: MaskRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape is recorded the second time it comes, by a predictor that keeps a few: each setting gets its own."""
    made = []

    class Stub:
        def __init__(self, model: MaskRCNN, device: str, precision: str) -> None:
            self.model, self.calls = model, 0
            made.append((device, precision))

        def predict(self, images: list[np.ndarray], score: float, batch_size: int, size: int | None) -> list[Result]:
            self.calls += 1
            assert len(images) == 32
            # What is not yet recorded is slow.
            speed.time.sleep(0.2 if self.calls <= 2 else 0)
            return [squares((0, 0)) for _ in images]

    monkeypatch.setattr(speed, "Predictor", Stub)
    plan = make_variants(model.config.preprocess, ["fp32", "bf16"], [32], [1, 8])
    speeds = measure_speeds(model, noise(3), plan, torch.device("cuda"), 0.5, 0.1)
    assert made == [("cuda", setting.precision) for setting in plan]
    assert len(plan) == 8
    assert [row.objects for row in speeds.rows] == [3] * 8
    assert max(row.seconds for row in speeds.rows) < 0.2 / 32


def test_what_cannot_run_is_left_out_and_told(model: MaskRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = Predictor.predict

    def limited(self: Predictor, images: list[np.ndarray], score: float, batch_size: int, **_: Any) -> list[Result]:
        if self.dtype in broken:
            raise torch.OutOfMemoryError("out of memory\nmore of it")
        return predict(self, images, score, batch_size)

    monkeypatch.setattr(Predictor, "predict", limited)
    plan = make_variants(model.config.preprocess, ["fp32", "bf16"], [], [1])
    broken = {torch.bfloat16}
    speeds = measure_speeds(model, noise(1), plan, CPU, 0.0, 0.1)
    assert [row.variant.precision for row in speeds.rows] == ["fp32"]
    assert speeds.left_out == ["bf16 at 64: out of memory"]
    broken = {torch.float32}
    with pytest.raises(MaskRCNNError, match="cannot run here in fp32 at 64: out of memory"):
        measure_speeds(model, noise(1), plan, CPU, 0.0, 0.1)


def row(precision: str, ms: float, kept: int, lost: int = 0, short: int = 0, batch: int = 1) -> VariantSpeed:
    """A made-up row; of the model's own size, 400, unless a shorter edge is given."""
    edge = short or 400
    return VariantSpeed(
        Variant(precision, (edge, edge), 2 * edge, batch, not short), ms / 1000, kept, Agreement(kept, lost)
    )


def advice(*rows: VariantSpeed, default: str = "fp32", turns: int = 9) -> Advice:
    return advise(SpeedComparison(list(rows), 4, turns, []), default)


def test_the_fastest_that_finds_enough_is_advised() -> None:
    exact = row("fp32", 100, 100)
    found = advice(exact, row("bf16", 50, 96, 4), row("fp16", 80, 100))
    assert (found.precision, found.cautions) == ("bf16", ())
    assert found.choice == (
        "Use precision bf16: 2.0x as fast as the default, fp32, and finds 96 % of the objects that fp32 finds at the "
        "model's own size."
    )
    found = advice(exact, row("bf16", 50, 94, 6), row("fp16", 80, 95, 5))
    assert found.precision == "fp16"
    assert found.choice.endswith("bf16 is 1.6x as fast but finds only 94 % of the objects.")
    found = advice(exact, row("bf16", 50, 0, 100))
    assert found.precision == "fp32"
    assert found.choice.startswith("Keep the default, fp32")
    assert "bf16 is 2.0x as fast but finds only 0 %" in found.choice


def test_a_tie_keeps_the_default_and_then_the_exact_form() -> None:
    exact = row("fp32", 100, 100)
    assert advice(exact, row("bf16", 96, 100)).precision == "fp32"
    assert advice(exact, row("bf16", 94, 100)).precision == "bf16"
    assert advice(exact, row("bf16", 100, 100), default="bf16").precision == "bf16"
    assert advice(exact, row("bf16", 500, 100), row("fp16", 99, 100), default="bf16").precision == "fp32"


def test_a_default_that_loses_is_advised_against() -> None:
    found = advice(row("fp32", 100, 100), row("bf16", 25, 90, 10), default="bf16")
    assert found.precision == "fp32"
    assert found.choice == (
        "Use precision fp32: slower than the default, bf16, at the model's own size. "
        "bf16 is 4.0x as fast but finds only 90 % of the objects."
    )
    kept = advice(row("fp32", 100, 100), row("bf16", 25, 99, 1), default="bf16").choice
    assert kept == "Keep the default, bf16: 4.0x as fast as fp32, and finds 99 % of the objects that fp32 finds."


def test_batches_are_part_of_the_choice() -> None:
    found = advice(row("fp32", 100, 100), row("bf16", 50, 100), row("bf16", 20, 100, batch=8), default="bf16")
    assert (found.precision, found.batch) == ("bf16", 8)
    assert "8 images together" in found.choice
    found = advice(row("fp32", 100, 100), row("fp32", 150, 100, batch=8), row("bf16", 50, 100))
    assert found.choice.startswith("Use precision bf16, one image at a time: 2.0x as fast as the default, fp32,")


def test_other_sizes_are_told_with_their_price() -> None:
    rows = [row("fp32", 100, 100), row("bf16", 50, 99, 1), row("fp32", 60, 90, 10, short=288)]
    rows += [row("bf16", 30, 90, 10, short=288), row("bf16", 20, 40, 60, short=192)]
    found = advice(*rows)
    assert found.precision == "bf16"
    assert found.sizes == (
        "Other shortest edges in bf16: 288: 1.7x as fast, finds 90 %; 192: 2.5x as fast, finds 40 %. None is faster "
        "and finds as much: keep the model's own."
    )
    assert found.size == rows[3].variant
    rows[3] = dataclasses.replace(rows[3], agreement=Agreement(97, 3))
    assert advice(*rows).sizes.endswith("288 is worth it.")
    assert advice(*rows[:2]).sizes == ""


def test_without_objects_there_is_no_number() -> None:
    found = advice(row("fp32", 100, 0), row("bf16", 50, 0), row("bf16", 20, 0, short=192))
    assert (found.precision, found.sizes, found.cautions) == ("fp32", "", ())
    assert "found nothing in these images" in found.choice
    assert "bf16 is the fastest at the model's own size, 2.0x" in found.choice
    assert "%" not in found.choice
    assert row("fp32", 100, 0).percent == "-"


def test_one_row_leaves_no_choice() -> None:
    found = advice(row("fp32", 100, 30))
    assert found.choice == "Keep the default, fp32: at the model's own size no other was measured."
    assert found.size is None


def test_shares_are_rounded_down_and_few_objects_or_turns_are_told() -> None:
    assert row("bf16", 1, 999, 1).percent == "99 %"
    assert row("bf16", 1, 29, 71).percent == "29 %"
    (few,) = advice(row("fp32", 100, 5)).cautions
    assert "only 5 objects" in few
    assert "20 %" in few
    (turns,) = advice(row("fp32", 100, 50), turns=1).cautions
    assert "timed 1x only" in turns
