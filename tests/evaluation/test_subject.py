"""The verbs that advice names: each is what a shell, the command line and Python read, whatever the names are."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import maskrcnn.evaluation
from maskrcnn.datasets.manifest import manifest_at
from maskrcnn.evaluation.subject import Subject, model_name
from maskrcnn.evaluation.verb_call import VerbCall
from maskrcnn.inference.loading import load
from tests.parsed_calls import called, check_call

SUBJECTS = {
    "plain": Subject("runs/train/best.safetensors", "data", "val"),
    "placeholders": Subject(),
    "quotes": Subject('my "runs"/it\'s.safetensors', 'it\'s "mine" & yours; $HOME `x`', "second half", True, 640, 300),
    "dashes": Subject("-m.pt2", "-data", "-val"),
    "home": Subject("-m.safetensors", "~data", "test"),
    "patterns": Subject("a.onnx", "data[1]*?{a,b}", "train", True, 320),
    "script": Subject("ñ😀\u202f.safetensors", "数据\\n\\\\", "val"),
    "untrainable": Subject("people", "data #1", trainable=False),
}
IMAGES = ("-a b.png", "~c.png", "d'[0].png")
# Each way in which advice calls a method of the subject, with values as awkward as they come.
CALLS: dict[tuple[str, ...], Callable[[Subject], VerbCall | None]] = {
    ("evaluate", "size"): lambda it: it.evaluate(size=960),
    ("evaluate", "max_detections"): lambda it: it.evaluate(max_detections=200),
    ("predict", "folder", "score"): lambda it: it.predict(*IMAGES, score=1 / 3, folder="found"),
    ("train", "minutes"): lambda it: it.train(minutes=30),
    ("train", "channels", "minutes"): lambda it: it.train(channels="stored", minutes=30),
    ("train", "minutes", "model"): lambda it: it.train(model={"nms_threshold": 0.35}, minutes=30),
    ("train", "minutes", "scale_jitter"): lambda it: it.train(scale_jitter=[1.0, 2.0], minutes=30),
    ("train", "copy_paste", "patience", "scale_jitter"): lambda it: it.train(
        scale_jitter=[0.3, 2.0], copy_paste=0.5, patience=2
    ),
    ("view",): lambda it: it.view(),
    ("view", "classes"): lambda it: it.view(classes='-it\'s, "this" $x'),
    ("doctor",): lambda it: it.doctor(),
    ("renamed",): lambda it: it.renamed({'5" pot': "it's", "-a\\n: {b}": "'", "ß, #1": "%s"}),
}


def test_these_are_all_ways_in_which_advice_calls() -> None:
    methods = {name for name, _ in inspect.getmembers(Subject, inspect.isfunction) if not name.startswith("_")}
    found = set()
    for file in Path(next(iter(maskrcnn.evaluation.__path__))).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods:
                owner = node.func.value
                if "subject" in (getattr(owner, "id", ""), getattr(owner, "attr", "")):
                    found.add((node.func.attr, *sorted(word.arg or "**" for word in node.keywords)))
    assert found == set(CALLS)


@pytest.mark.parametrize("who", SUBJECTS)
def test_shell_command_line_and_python_agree(who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = SUBJECTS[who]
    monkeypatch.chdir(tmp_path)
    for (method, *names), make in CALLS.items():
        call = make(subject)
        if call is None:
            assert method == "train"
            assert not subject.trainable
            continue
        function, arguments = check_call(call, tmp_path)
        assert set(names) <= set(arguments)
        if method not in ("predict", "renamed"):
            assert arguments["data"] == subject.data
        if method in ("evaluate", "predict", "renamed"):
            assert arguments["model"] == subject.model
            assert arguments.get("size", subject.size) in (subject.size, 960)
            assert arguments.get("trust", False) == (who == "dashes")
        if function == "train":
            assert arguments.get("init") == (None if who in ("patterns", "dashes") else subject.model)


def test_a_name_that_no_terminal_shows_is_not_typed() -> None:
    """Python has an escape for it."""
    subject = Subject(data="a\nb\x1b[31m", split="val")
    assert [subject.doctor().shell, subject.evaluate(size=64).shell] == ["", ""]
    assert "a\\nb\\u001b[31m" in subject.renamed({"a": "b"}).shell  # JSON has escapes too
    assert called(subject.doctor().python) == ("doctor", {"data": "a\nb\x1b[31m"})


def test_what_was_asked_for_is_asked_for_again() -> None:
    subject = Subject("people", "data", "val", True, 640, 300)
    for call in (subject.evaluate(size=960), subject.renamed({"a": "b"})):
        assert "--max-detections 300" in call.shell
    assert "--size 640 --max-detections 200" in subject.evaluate(max_detections=200).shell
    assert "--size 640" in subject.predict("a.png", score=0.5, folder="x").shell
    assert "--score 0.0" in subject.predict("a.png", score=0.0, folder="x").shell


@pytest.mark.parametrize("name", ["my data", 'it\'s "5" \\n; $x'])
def test_data_under_other_names_are_measured_as_before(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a YAML that says what was meant, names with quotes included, written by a shell or by Python."""
    monkeypatch.chdir(tmp_path)
    data, names = tmp_path / name, {'5" pot': "it's", "-a\\n: {b}": "'", "ß, #1": "%s"}
    data.mkdir()
    call = Subject("people", str(data), "val").renamed(names)
    file = tmp_path / "renamed.yaml"
    for write in (lambda: check_call(call, tmp_path), lambda: called(call.python)):
        file.unlink(missing_ok=True)
        write()
        assert yaml.safe_load(file.read_text("utf-8"))["val"] == {"path": str(data), "split": "val", "rename": names}
        manifest = manifest_at(file)
        assert manifest is not None
        (place,) = manifest.places("val")
        assert (place.path, place.split, place.rename) == (data, "val", names)


def test_a_predictor_is_called_what_it_was_loaded_by(tmp_path: Path) -> None:
    assert model_name("a.onnx") == "a.onnx"
    assert model_name(load("nuclei", "cpu")) == "nuclei"
