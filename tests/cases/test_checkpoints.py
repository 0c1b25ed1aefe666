"""Checkpoints as trainers of the world save them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from maskrcnn.weights.load import load_model


def test_checkpoint_wrappers(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loads as plain.pth does, and the report says which dict and which prefix."""
    monkeypatch.setattr(sys, "argv", ["make.py", str(tmp_path)])
    monkeypatch.setattr("maskrcnn.load", lambda *args, **named: load_model(args[0], named["names"])[0])
    runpy.run_path(str(case / "make.py"))
    plain, report = load_model(tmp_path / "plain.pth", ["cat", "dog"])
    assert not any("parameters taken" in line for line in report.lines())
    told = {
        "training_script.pth": "parameters taken from 'model'",
        "recipe.pth": "parameters taken from 'model_state_dict'",
        "lightning.ckpt": "parameters taken from 'state_dict', prefix 'model.' stripped",
        "compiled.pth": "parameters taken, prefix '_orig_mod.' stripped",
        "numpy_scalar.pth": "parameters taken from 'model'",
        "averaged.pth": "parameters taken from 'model'; 'model_ema' holds the same parameters too, which are not used",
    }
    for name, line in told.items():
        model, report = load_model(tmp_path / name, ["cat", "dog"])
        assert line in report.lines(), name
        for key, value in plain.state_dict().items():
            assert torch.equal(model.state_dict()[key], value), (name, key)
