"""The metadata that exporters write is what runtimes read; what is damaged or unknown is reported, field by field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maskrcnn
from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.runtime.artifact_contract import INPUTS, ArtifactMetadata, graph_inputs

PATH = Path("m.onnx")


def test_what_is_written_is_read(small: Callable[..., Config]) -> None:
    written = ArtifactMetadata(("Zelle", "核"), small(), "bf16")
    assert ArtifactMetadata.from_json(written.to_json(), PATH) == written
    assert written.version == maskrcnn.__version__


def test_files_of_other_versions_stay_readable(small: Callable[..., Config]) -> None:
    """The keys on disk are an agreement; the first versions wrote neither precision nor version."""
    content = json.loads(ArtifactMetadata(("a",), small(), "fp32").to_json())
    assert sorted(content) == ["config", "format", "maskrcnn", "names", "precision"]
    assert (content["format"], content["names"]) == ("maskrcnn-artifact-1", ["a"])
    text = json.dumps({key: content[key] for key in ("format", "names", "config")} | {"of_the_future": 1})
    assert ArtifactMetadata.from_json(text, PATH) == ArtifactMetadata(("a",), small(), "fp32", "unknown")


DAMAGED: list[tuple[str, Any, str]] = [
    ("format", None, "expected JSON with format"),
    ("format", "maskrcnn-artifact-9", "format maskrcnn-artifact-1, found 'maskrcnn-artifact-9'.*update maskrcnn"),
    ("names", [], "1 to 100,000 class names, found 0"),
    ("names", ["a", ""], "class names of 1 to 1,000 characters"),
    ("config", [], "expected JSON with format, names and config"),
    ("config", {"fpn_channels": -1}, "settings that are not known here: .*fpn_channels.*update maskrcnn"),
    ("config", {"of_the_future": 1}, "settings that are not known here: .*of_the_future"),
    ("precision", 16, "word under 'precision', found 16"),
    ("maskrcnn", "9" * 2000, "word under 'maskrcnn'"),
]


@pytest.mark.parametrize(("field", "value", "says"), DAMAGED)
def test_each_field_is_checked(field: str, value: Any, says: str, small: Callable[..., Config]) -> None:
    content = json.loads(ArtifactMetadata(("a",), small(), "fp32").to_json())
    changed = {**content["config"], **value} if field == "config" and isinstance(value, dict) else value
    with pytest.raises(MaskRCNNError, match=rf"m\.onnx: .*{says}"):
        ArtifactMetadata.from_json(json.dumps({**content, field: changed}), PATH)


def test_the_arrays_that_a_graph_takes() -> None:
    feeds = graph_inputs(np.zeros((1, 3, 32, 32), np.float32), np.array([[30, 20]]), 0.5)
    assert tuple(feeds) == INPUTS
    assert (feeds["score"].shape, feeds["score"].dtype) == ((), np.float32)
