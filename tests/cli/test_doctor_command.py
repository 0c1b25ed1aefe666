"""`maskrcnn doctor`: what it prints, its exit codes, JSON, and the corrected copy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from maskrcnn.benchmarking.environment import environment
from maskrcnn.datasets.doctor.examination import examine
from tests.command import run_apart


def run(*words: object) -> tuple[int, str, str]:
    return run_apart("doctor", *words)


def change(file: Path, how: Callable[[dict], object]) -> None:
    content = json.loads(file.read_text())
    how(content)
    file.write_text(json.dumps(content))


@pytest.fixture
def data(shapes: Path) -> Path:
    """Clean data but for few objects and a validation split that repeats the training images."""
    return shapes


def test_errors_found_are_exit_code_one(data: Path) -> None:
    code, text, _ = run(data)
    assert code == 1
    assert "error leak (4, fixable): one file is in two splits" in text
    assert "[train] train/1.png: the same file as val/1.png of val" in text
    assert "→ remove it from the training split" in text
    assert text.splitlines()[-1].startswith(
        f"{data}: train 4 images with 14 objects, val 4 images with 14 objects: 4 err"
    )


def test_warnings_alone_are_exit_code_zero(data: Path) -> None:
    code, text, _ = run(data / "train.json")
    assert code == 0, text
    assert "warning class-too-rare" in text
    assert "no-validation" in text


def test_only_some_examples_are_shown_but_all_are_in_the_json(data: Path, tmp_path: Path) -> None:
    def spoil(content: dict) -> None:
        for entry in content["annotations"][:9]:
            entry["category_id"] = 5

    change(data / "train.json", spoil)
    code, text, _ = run(data, "--json", tmp_path / "found.json")
    assert code == 1
    assert text.count("no category has the id 5") == 5
    assert "… and 4 more" in text
    content = json.loads((tmp_path / "found.json").read_text())
    found = [finding for finding in content["findings"] if finding["check"] == "unknown-category"]
    assert [finding["annotation"] for finding in found] == list(range(1, 10))
    assert content["counts"]["unknown-category"] == 9
    assert found[0].keys() == {"check", "severity", "file", "entry", "what", "fix"} | {"annotation", "split", "fixable"}


def test_json_on_standard_output_is_all_there_is(data: Path) -> None:
    code, text, _ = run(data, "--json", "-")
    assert code == 1
    assert json.loads(text)["counts"]["leak"] == 4


def test_a_corrected_copy(data: Path, tmp_path: Path) -> None:
    change(data / "val.json", lambda content: content["annotations"][0]["bbox"].__setitem__(2, 0))
    code, text, _ = run(data, "--fix", tmp_path / "copy", "--json", tmp_path / "found.json")
    assert "fixed leak: 4" in text
    assert "fixed box-mask-disagree: 1" in text
    assert "the copy was examined again" in text
    assert code == 1  # the copies that leaked were all there was to train on
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["copy"]["mended"].items() >= {"leak": 4, "box-mask-disagree": 1}.items()
    assert content["copy"]["after"]["counts"].get("leak", 0) == 0
    code, _, message = run(data, "--fix", tmp_path / "copy")
    assert (code, "new or empty folder" in message) == (2, True)


def test_no_data_set_is_exit_code_two(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "notes.txt"):
        code, _, message = run(place)
        assert code == 2, place
        assert "Traceback" not in message
    code, _, message = run()
    assert code == 2
    assert "--env" in message


def test_the_environment_names_versions_and_devices() -> None:
    import platform

    import torch

    code, text, _ = run("--env")
    assert code == 0
    assert torch.__version__.split("+")[0] in text
    assert "libjpeg-turbo" in text
    assert platform.node() not in text
    assert set(environment()) >= {"maskrcnn", "python", "torch", "cpu", "cuda", "device auto"}


def test_the_environment_tells_which_fast_forms_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from maskrcnn.ops.fused_conv import fused_form
    from maskrcnn.ops.linear import linear_form

    found = environment()
    assert found["kernels"].startswith("nms: torchvision's on the CPU")
    assert "roi align" in found["kernels"]
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        assert f"{fused_form(torch.device('cpu'), dtype)} for {name} on cpu" in found["convolutions"]
        assert f"{linear_form(torch.device('cpu'), dtype)} for {name} on cpu" in found["linear layers"]
    assert found["winograd"].startswith("yes")
    assert found["memory kept"].split()[0] in ("yes", "no")
    monkeypatch.setattr("maskrcnn.benchmarking.environment.bf16_instructions", lambda: "")
    assert environment()["bf16 on cpu"] == "no instructions for it: slower than fp32"
    monkeypatch.setattr("maskrcnn.benchmarking.environment.bf16_instructions", lambda: "AMX")
    monkeypatch.setattr("maskrcnn.benchmarking.environment.bf16_speed", lambda: 0.6)
    expected = "AMX; a convolution trains at 0.6 times the speed of fp32: auto trains in fp32"
    assert environment()["bf16 on cpu"] == expected


def test_no_more_processes_are_started_than_there_is_work_for(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Pool(ProcessPoolExecutor):
        def __init__(self, workers: int, **arguments: Any) -> None:
            started.append(workers)
            super().__init__(min(workers, 8), **arguments)

    monkeypatch.setattr(sys.modules[examine.__module__], "ProcessPoolExecutor", Pool)
    code, text, _ = run(data, "--workers", 100_000)
    assert code == 1, text
    assert started == [8]  # one an image
    code, _, told = run(data, "--workers", -1)
    assert code == 2
    assert "greater than or equal to 0" in told
