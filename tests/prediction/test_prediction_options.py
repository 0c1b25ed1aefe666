"""What a call asks for is checked where the record is made, and cannot be changed afterwards."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.prediction.prediction_options import PredictionOptions


@pytest.mark.parametrize("score", [0, 1, 0.5, np.float32(0.25), np.int64(1)])
def test_scores(score: Any) -> None:
    assert PredictionOptions(score).score == float(score)
    assert type(PredictionOptions(score).score) is float


@pytest.mark.parametrize(
    "score", ["0.5", None, float("nan"), -0.1, 1.01, True, [0.5], np.array([0.5]), 1j, float("inf"), np.bool_(False)]
)
def test_what_is_no_score(score: Any) -> None:
    with pytest.raises(MaskRCNNError, match="score: expected a number from 0 to 1, found") as error:
        PredictionOptions(score)
    assert error.value.fix


@pytest.mark.parametrize("name", ["batch_size", "size", "max_detections"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "4", True, np.bool_(True), float("nan"), [1], 10**9, 10**400])
def test_what_is_no_count(name: str, value: Any) -> None:
    with pytest.raises(MaskRCNNError, match=f"{name}: expected a whole number from 1 to") as error:
        PredictionOptions(**{name: value})
    assert error.value.fix


def test_counts_and_what_they_stand_for() -> None:
    options, config = PredictionOptions(batch_size=np.int64(3), size=np.uint16(400), max_detections=7), Config()  # type: ignore[arg-type]
    assert (options.batch_size, options.size, options.max_detections) == (3, 400, 7)
    assert {type(value) for value in dataclasses.astuple(options)[1:]} == {int}
    assert (options.preprocess(config).short, options.detections(config)) == ((400, 400), 7)
    assert PredictionOptions().preprocess(config) is config.preprocess
    assert PredictionOptions().detections(config) == config.max_detections == 100
    for edge in (5, 5000):
        with pytest.raises(MaskRCNNError, match=f"32 to 4096 pixels, found {edge}"):
            PredictionOptions(size=edge).preprocess(config)


def test_it_cannot_be_changed() -> None:
    options = PredictionOptions()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.score = 0.9  # type: ignore[misc]
    assert hash(options) == hash(PredictionOptions(0.5))


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=8),
    st.complex_numbers(), st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3), st.none()),
)  # fmt: skip


@given(st.sampled_from([field.name for field in dataclasses.fields(PredictionOptions)]), anything)
@settings(max_examples=200, deadline=None)
def test_any_value_is_accepted_or_refused_with_a_clear_error(name: str, value: Any) -> None:
    refusal = None
    try:
        PredictionOptions(**{name: value})
    except MaskRCNNError as error:
        refusal = str(error)
    if refusal is not None:
        assert name in refusal
        assert len(refusal) < 600
    else:
        assert value is None or value >= 0
