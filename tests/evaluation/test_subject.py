"""Command lines that advice gives: as they are typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import yaml

from maskrcnn.evaluation.subject import Subject


def test_data_under_other_names_are_measured_as_before(tmp_path: Path) -> None:
    """At the same input size, from a YAML that says what was meant, names with quotes included."""
    subject = Subject(model="my runs/best.safetensors", data=str(tmp_path / "my data"), split="val", size=640)
    written, measured = subject.renamed({'5" pot': "it's"}).split("; ")
    assert shlex.split(measured)[:2] == ["maskrcnn", "evaluate"]
    assert shlex.split(measured)[2:] == [
        "renamed.yaml", "--model", "my runs/best.safetensors", "--size", "640",
    ]  # fmt: skip
    echo, text, *_ = shlex.split(written)
    assert echo == "echo"
    val = yaml.safe_load(text)["val"]
    assert val == {"path": str(tmp_path / "my data"), "split": "val", "rename": {'5" pot': "it's"}}
