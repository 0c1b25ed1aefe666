"""The one door to the terminal: text is shown as it is, wherever it comes from and whatever it is shown on."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from maskrcnn.cli import console
from maskrcnn.cli.console import bold, json_text, say, say_json, show_table, warn
from tests.command import call

CLI = Path(console.__file__).parent
TRAPS = (
    "[onnx]",
    "[cat, dog]",
    "[/x]",
    "a[/]b",
    "[bold]b[/bold]",
    ":dog:",
    "[link=file:///x]y[/link]",
    "\\[x]",
    "12 %",
)


def test_nobody_prints_through_another_door() -> None:
    for file in CLI.glob("*.py"):
        if file.name in ("console.py", "progress.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            where = f"{file.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] != "rich", where
                assert not {"out", "errors"} & {name.name for name in node.names}, where
            elif isinstance(node, ast.Import):
                assert all(name.name.split(".")[0] != "rich" for name in node.names), where
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "typer.echo", "typer.secho", "out.print", "errors.print"), where
                assert not called.startswith(("sys.stdout", "sys.stderr")), where


@pytest.mark.parametrize("text", TRAPS)
def test_text_is_no_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    say(bold(text), f" {text}")
    warn(text)
    seen = capsys.readouterr()
    assert seen.out == f"{text}\n{text} {text}\n"
    assert seen.err == f"note {text}\n"
    show_table([("name", text), (text, 1)], text)
    assert capsys.readouterr().out.count(text) == 3


def test_a_line_stays_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("\x1b[31mred\n" + "long " * 100)
    seen = capsys.readouterr().out
    assert len(seen.splitlines()) == 1
    assert "\x1b" not in seen
    show_table([("a", "b\nc"), ("\x1b]0;title\x07", "\u202e1")], "x\ny")
    seen = capsys.readouterr().out
    assert "\x1b" not in seen
    assert r"\x1b]0;title\x07" in seen
    assert r"b\nc" in seen


def test_no_cell_of_a_table_is_cut_off(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "width", 40)
    name = "".join(map(str, range(60)))
    show_table([("class", "objects", "AP"), (name, "123456789", "12.3"), ("b", "1", "2")])
    seen = capsys.readouterr().out
    assert "…" not in seen
    cells = [line.split("│")[1].strip() for line in seen.splitlines() if line.startswith("│")]
    assert "".join(cells[:-1]) == name
    assert "123456789" in seen


def test_json_holds_any_name_and_is_told_where_it_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"name": b"caf\xe9 \xe7\x8c\xab".decode("utf-8", "surrogateescape"), "class": "猫 😀 →"}
    assert json.loads(json_text(content).encode("utf-8")) == content
    assert json.loads(json_text(content, ascii_only=True).encode("ascii")) == content
    say_json(content)
    assert json.loads(capsys.readouterr().out) == content


def test_an_error_in_any_words(tmp_path: Path) -> None:
    for name in ("[/x].png", "[onnx]", "a\nb", "\x1b[31m.png", os.fsdecode(b"\xff.png")):
        done = call("predict", tmp_path / name, "--out", tmp_path / "out")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stderr
    assert "[onnx]" in call("predict", tmp_path / "[onnx]").stderr
    done = call("predict", "x.png", "--score", "[/x]")
    assert done.returncode == 2
    assert "--score" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_any_encoding_of_the_terminal(encoding: str, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "猫 → [x].png")
    done = call("predict", tmp_path, "--out", tmp_path / "out", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u732b -> [x].png: 0 objects" in done.stdout
    assert "0 objects in 1 image -> " in done.stdout
    assert call("models", PYTHONIOENCODING=encoding).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_words_that_cannot_be_written_do_not_stop_the_work(tmp_path: Path) -> None:
    for k in range(2):
        Image.new("RGB", (40, 40)).save(tmp_path / f"{k}.png")
    with Path("/dev/full").open("w") as full:
        done = call("predict", tmp_path, "--out", tmp_path / "out", stdout=full)
        assert call("models", stdout=full).returncode == 1
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error cannot write to standard output: No space left on device"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == []


def test_a_reader_who_has_seen_enough(tmp_path: Path) -> None:
    for k in range(3):
        Image.new("RGB", (40, 40)).save(tmp_path / f"{k}.png")
    for words in (["models"], ["train", "--settings"], ["predict", tmp_path, "--out", tmp_path / "out"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = call(*words, stdout=writer)
        os.close(writer)
        assert done.stderr == "", words
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
