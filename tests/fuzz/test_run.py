"""The fuzzer itself: what it calls a fault, and that its cases can be repeated."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from fuzz import run
from fuzz.mutations import in_bytes, in_json, in_png, in_safetensors, in_yaml, in_zip
from fuzz.run import Bench
from fuzz.targets import TARGETS, Target
from maskrcnn.errors import MaskRCNNError


def _bench(monkeypatch: pytest.MonkeyPatch, folder: Path, use: object) -> Bench:
    def make(where: Path) -> None:
        (where / "a.txt").write_text("text " * 20)

    monkeypatch.setitem(run.TARGETS, "made up", Target(make, use, {".txt": in_bytes}))  # type: ignore[arg-type]
    return Bench("made up", folder)


def test_other_errors_slowness_and_memory_are_faults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def slow(folder: Path) -> int:
        try:
            time.sleep(5)
        except Exception:  # a reader that takes everything for a damaged file
            return 1
        return 1

    def large(folder: Path) -> int:
        return len(np.ones(30_000_000))

    def refuses(folder: Path) -> int:
        raise MaskRCNNError("no")

    def breaks(folder: Path) -> int:
        raise ValueError("no")

    for number, (use, kind, what, seconds) in enumerate(
        [
            (slow, "fault", "more than 0.2 s", 0.2),
            (large, "fault", "MB", 60),
            (breaks, "fault", "ValueError", 60),
            (refuses, "refused", "", 60),
        ]
    ):
        found = _bench(monkeypatch, tmp_path / str(number), use).case(0, 0, seconds=seconds, megabytes=100)
        assert found.counts == {kind: 1}
        assert what in "".join(fault for _, fault in found.faults)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_case_follows_from_its_number(tmp_path: Path) -> None:
    contents = []
    for place in ("first", "second"):
        bench = Bench("coco", tmp_path / place)
        bench.damage(0, 7)
        contents.append(_contents(bench.work))
    assert contents[0] == contents[1]
    assert contents[0] != _contents(bench.good)


@pytest.mark.parametrize("mutation", [in_bytes, in_json, in_yaml, in_zip, in_png, in_safetensors])
def test_mutations_change_something_and_never_fail(tmp_path: Path, mutation: object) -> None:
    names = {in_zip: "pickles", in_png: "images", in_safetensors: "checkpoint"}
    suffixes = {in_zip: ".pth", in_png: ".png", in_safetensors: ".safetensors", in_json: ".json", in_yaml: ".yaml"}
    name = names.get(mutation, "recipe" if mutation is in_yaml else "coco")  # type: ignore[call-overload]
    TARGETS[name].make(tmp_path)
    path = next(path for path in sorted(tmp_path.rglob("*")) if path.suffix == suffixes.get(mutation, ".json"))  # type: ignore[call-overload]
    content, rng = path.read_bytes(), np.random.default_rng(0)
    changed = sum(mutation(rng, content) != content for _ in range(100))  # type: ignore[operator]
    assert changed > 80
