"""detectron2's checkpoints give detectron2's outputs.

The reference was made with detectron2 itself on a CPU (`/shared/golden/README.md`): random weights drawn by a rule, two
photos, its own preprocessing.
"""

from __future__ import annotations

import json
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from maskrcnn.inference.predictor import Predictor
from maskrcnn.weights.load import load_model

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden"
pytestmark = pytest.mark.skipif(
    not GOLDEN.exists(), reason="the reference outputs of detectron2 are not in the package"
)


def golden_state() -> dict[str, np.ndarray]:
    parameters = json.loads((GOLDEN / "detectron2_r50_fpn.json").read_text())["parameters"]
    state = {}
    for name, (shape, rule) in parameters.items():
        if isinstance(rule, dict):
            draws = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
            state[name] = draws.astype(np.float32) * np.float32(rule["normal_std"])
        else:
            state[name] = np.full(shape, rule, np.float32)
    return state


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("golden") / "model_final.pkl"
    with path.open("wb") as file:
        pickle.dump({"model": golden_state(), "__author__": "Detectron2 Model Zoo"}, file)
    network, report = load_model(path)
    path.unlink()
    assert (report.reinitialised, report.unused) == ([], [])
    return Predictor(network, "cpu", "fp32", report)


def photo(name: str) -> np.ndarray:
    return skimage.data.astronaut() if name == "astronaut" else skimage.data.stereo_motorcycle()[0]


@pytest.mark.parametrize("name", ["astronaut", "motorcycle"])
def test_a_converted_model_gives_detectron2s_outputs(model: Predictor, name: str) -> None:
    with np.load(GOLDEN / "detectron2_r50_fpn.npz") as file:
        want = {key.partition(".")[2]: file[key] for key in file if key.startswith(name)}
    result = model.predict(photo(name), score=0.0)
    assert len(result) == len(want["scores"]) == 100
    # Each of theirs with the nearest of ours of its class, none twice.
    apart = np.abs(result.boxes[:, None] - want["boxes"]).max(-1)
    apart[result.labels[:, None] != want["classes"]] = np.inf
    nearest = apart.argmin(0)
    probabilities = result.masks.probs[nearest]
    same = (
        (apart[nearest, np.arange(100)] <= 0.05)
        & (np.abs(result.scores[nearest] - want["scores"]) <= 1e-3)
        & (np.abs(probabilities - want["mask_probs"]).max((1, 2)) <= 5e-3)
    )
    assert len(set(nearest[same])) == same.sum() >= 99
    shape = want["masks_shape"]
    theirs = np.unpackbits(want["masks_packed"], count=int(np.prod(shape))).reshape(shape).astype(bool)
    ours = result.masks[nearest].dense()
    union = (ours | theirs).sum((1, 2))
    assert ((ours & theirs).sum((1, 2)) / np.maximum(union, 1)).mean() >= 0.99


def test_features_and_proposals_are_detectron2s(model: Predictor) -> None:
    """The parts apart, on the plain network: which of them is off when the whole is."""
    with np.load(GOLDEN / "detectron2_r50_fpn.npz") as file:
        want = {key.partition(".")[2]: file[key] for key in file if key.startswith("astronaut")}
    from maskrcnn.model.preprocess import prepare

    network = model.model
    batch, sizes = prepare([torch.from_numpy(photo("astronaut")).permute(2, 0, 1)], model.preprocess)
    assert batch.shape[1:] == tuple(want["network_input"])
    with torch.inference_mode():
        pyramid = network.features(batch, sizes)
        proposals = network.propose(pyramid, sizes).boxes[0, :200]
    np.testing.assert_allclose(pyramid.levels[0][0, :8, :16, :16], want["feature_p2_corner"], atol=2e-4, rtol=1e-4)
    apart = np.abs(proposals.numpy()[:, None] - want["proposals"]).max(-1).min(0)
    assert (apart <= 0.01).mean() >= 0.98
