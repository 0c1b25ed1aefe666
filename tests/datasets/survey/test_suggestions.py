"""Advice: the numbers behind it against torchvision and brute force, the advice itself on data made to need it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from maskrcnn.config import PRESETS, Config, preset
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.datasets.survey.suggestions import Suggestion, anchor_fit, model_changes, suggest_settings
from maskrcnn.datasets.survey.survey import Survey, survey_dataset

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def surveyed(sides: list[tuple[float, float]], images: list[tuple[int, int]], of: list[int] | None = None) -> Survey:
    """Objects of `sides` (width, height) in images of (H, W); object k lies in image `of`[k], 0 unless given."""
    count = len(sides)
    return Survey(
        names=("thing",),
        image_sizes=np.array(images),
        read=np.ones(len(images), dtype=bool),
        crowds=np.zeros(len(images), dtype=np.int64),
        image=np.array(of or [0] * count, dtype=np.int64),
        label=np.zeros(count, dtype=np.int64),
        sides=np.array(sides, dtype=np.float64).reshape(-1, 2),
        masked=np.ones(count, dtype=bool),
    )


def suggestions(survey: Survey, config: Config | None = None, canvas: int = 512) -> dict[str, Suggestion]:
    return {item.setting: item for item in suggest_settings(survey, config or preset("lite"), canvas)}


@pytest.mark.parametrize("name", PRESETS)
def test_coverage_is_the_best_iou_on_centred_boxes(name: str) -> None:
    rng = np.random.default_rng(0)
    sides = np.exp(rng.uniform(1, 6, (60, 2)))
    config = preset(name)
    best = []
    for width, height in sides:
        anchors = []
        for size in config.anchor_sizes:
            for ratio in config.anchor_ratios:
                w, h = size / ratio**0.5, size * ratio**0.5
                box = torch.tensor([-w / 2, -h / 2, w / 2, h / 2])
                anchors.append(box.round() if config.anchor_rounding else box)
        truth = torch.tensor([[-width / 2, -height / 2, width / 2, height / 2]], dtype=torch.float32)
        best.append(float(box_iou(torch.stack(anchors), truth).max()))
    fit = anchor_fit(sides, config)
    assert fit.mean == pytest.approx(np.mean(best), abs=1e-5)
    assert fit.share == pytest.approx(np.mean(np.array(best) >= 0.5))
    assert anchor_fit(sides, config, offset=0.25).mean < fit.mean


def test_anchors_move_to_small_upright_objects() -> None:
    rng = np.random.default_rng(0)
    width = rng.uniform(8, 20, 300)
    data = surveyed(list(zip(width, width * rng.uniform(3, 5, 300), strict=True)), [(512, 512)])
    found = suggestions(data)
    assert found["anchor_sizes"].suggested[0] < 24
    low, middle, high = found["anchor_ratios"].suggested
    assert low < middle < high
    assert middle == pytest.approx(4, abs=0.3)
    changed = preset("lite").replace(**model_changes(list(found.values())))
    assert anchor_fit(data.sides, changed).mean > anchor_fit(data.sides, preset("lite")).mean + 0.1


def test_what_fits_is_kept() -> None:
    sides = [(24 * 2**k, 24 * 2**k) for k in range(4)] * 5
    found = suggestions(surveyed(sides, [(512, 512)]))
    assert not [item.setting for item in found.values() if item.differs]
    assert model_changes(list(found.values())) == {}


def test_an_input_size_at_which_small_objects_are_seen() -> None:
    # 10 px at a short edge of 512: 12 px need 615, and the next multiple of 64 is 640.
    item = suggestions(surveyed([(10, 10)] * 50, [(512, 512)]))["preprocess"]
    assert item.suggested["short"] == [640, 640]
    assert item.suggested["long"] >= 640 * 864 / 512
    assert "0 % of the objects measure at least 12 px at short edge 512, 100 % at short edge 640" in item.evidence
    assert "1.6 times the pixels" in item.evidence


def test_a_smaller_input_is_mentioned_and_not_suggested() -> None:
    item = suggestions(surveyed([(200, 200)] * 50, [(512, 512)]))["preprocess"]
    assert not item.differs
    assert "short edge 320 would do, with 39 % of the pixels" in item.evidence


def test_objects_too_small_in_the_image_itself_need_tiles() -> None:
    item = suggestions(surveyed([(2, 2)] * 50, [(200, 200)]))["preprocess"]
    assert item.suggested["short"][0] <= 600
    assert "cut these into tiles" in item.evidence


def test_the_limit_of_detections_has_headroom() -> None:
    of = [0] * 130 + [1] * 20
    found = suggestions(surveyed([(40, 40)] * 150, [(512, 512)] * 2, of))
    assert found["max_detections"].suggested == 160
    assert "at most 130 objects an image" in found["max_detections"].evidence
    assert "100 are too few for 50 % of the images" in found["max_detections"].evidence
    few = suggestions(surveyed([(40, 40)] * 20, [(512, 512)]))
    assert not few["max_detections"].differs


def test_ten_thousand_objects_in_one_image() -> None:
    found = suggestions(surveyed([(20, 20)] * 10_000, [(4000, 4000)]))
    assert found["max_detections"].suggested == 2000
    assert "at most 2,000: cut such images into tiles" in found["max_detections"].evidence
    assert found["proposals"].suggested == [4000, 4000]
    assert found["rpn_before_nms"].suggested == [4000, 4000]


def test_a_canvas_holds_the_objects_and_is_no_larger_than_the_images() -> None:
    assert suggestions(surveyed([(700, 200)] * 20, [(512, 800)]))["canvas"].suggested == 704
    assert suggestions(surveyed([(40, 40)] * 20, [(512, 800)]))["canvas"].suggested == 512
    small = preset("lite").replace(preprocess={"short": [256, 256], "long": 432})
    assert suggestions(surveyed([(40, 40)] * 20, [(256, 256)]), small)["canvas"].suggested == 256
    assert suggestions(surveyed([(3000, 40)] * 20, [(512, 3000)]))["canvas"].suggested <= 1024


def test_data_without_objects_gives_no_advice() -> None:
    assert suggest_settings(surveyed([], [(512, 512)]), preset("lite"), 512) == []


@pytest.mark.parametrize("name", PRESETS)
def test_advice_is_what_the_model_takes_and_settles(name: str) -> None:
    """Taken on, the same data gives no further advice."""
    rng = np.random.default_rng(1)
    sides = np.exp(rng.normal(3, 0.5, (500, 2))).tolist()
    data = surveyed(sides, [(480, 640)] * 2, rng.integers(0, 2, 500).tolist())
    config = preset(name)
    found = suggest_settings(data, config, 512)
    changes = model_changes(found)
    assert {"max_detections", "anchor_sizes"} <= set(changes)
    canvas = next(item.suggested for item in found if item.setting == "canvas")
    again = suggest_settings(data, config.replace(**changes), canvas)
    assert not [item for item in again if item.differs]


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real data beside the repository")
def test_advice_for_nuclei_is_what_its_recipe_found_by_hand() -> None:
    """recipes/nuclei-1.yaml: 400 detections, anchors from 16 up, short edges from 640."""
    found = suggestions(survey_dataset(open_dataset(SHARED / "nuclei", "train")))
    assert 400 <= found["max_detections"].suggested <= 500
    assert found["anchor_sizes"].suggested == [16, 32, 64, 128, 256]
    assert 576 <= found["preprocess"].suggested["short"][0] <= 768
    assert not found["anchor_ratios"].differs
