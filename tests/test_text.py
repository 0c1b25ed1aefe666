"""Counts with their nouns, and text that a terminal must not obey."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.text import first_line, listed, plural, quoted, replace_unencodable, shell_word, suggestion, visible


def test_plurals() -> None:
    nouns = {"image": "images", "class": "classes", "box": "boxes", "batch": "batches", "copy": "copies", "day": "days"}
    for noun, many in nouns.items():
        assert plural(1, noun) == f"1 {noun}"
        assert plural(0, noun) == f"0 {many}"
        assert plural(2000, noun) == f"2,000 {many}"


def test_what_a_terminal_obeys_is_escaped_and_letters_stay() -> None:
    for text, seen in (
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\tand\ra return", r"two\nlines\tand\ra return"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("bell\x07 next\x85 del\x7f csi\x9b", r"bell\x07 next\x85 del\x7f csi\x9b"),
        (b"caf\xe9.png".decode("utf-8", "surrogateescape"), r"caf\xe9.png"),
        ("\ud800", r"\ud800"),
        ("\u2028", r"\u2028"),
    ):
        assert visible(text) == seen
    for text in ("猫 [onnx] [/x] :dog: é", "नमस्\u200cते", "👩\u200d🔬", "\u00a0"):
        assert visible(text) == text


@given(st.text())
def test_a_word_of_a_command_line_is_read_as_it_is(text: str) -> None:
    assert shlex.split(shell_word(text)) == [text]


def test_a_shell_reads_it_so_too() -> None:
    words = ["it's", "", "a b", "$HOME `x` it's", "it's !important", 'it\'s \\ "both"', "*", "~", "猫 it's", "a'b\nc"]
    assert shell_word("it's here") == '"it\'s here"'
    script = f"printf '%s\\0' {' '.join(map(shell_word, words))}"
    assert (
        subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode().split("\0")[:-1] == words
    )


@given(st.text())
def test_nothing_is_left_that_moves_the_cursor_or_cannot_be_encoded(text: str) -> None:
    seen = visible(text)
    assert not {unicodedata.category(c) for c in seen.replace("\u200c", "").replace("\u200d", "")} & {
        "Cc", "Cf", "Cs", "Zl", "Zp",
    }  # fmt: skip
    seen.encode("utf-8")
    assert len(seen.splitlines()) <= 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_character_can_be_written(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    replace_unencodable()
    print("1 → 2 猫 é", flush=True)
    written = raw.getvalue().decode(encoding)
    assert written == {
        "utf-8": "1 → 2 猫 é\n",
        "ascii": "1 -> 2 \\u732b \\xe9\n",
    }.get(encoding, "1 -> 2 \\u732b é\n")


def test_long_lists_are_cut_and_say_so() -> None:
    assert listed([]) == ""
    assert listed(["a", 2], 2) == "a, 2"
    assert listed(("a", "b", "c"), 2) == "a, b and 1 more"
    assert listed({f"n{number}": 0 for number in range(1500)}, 1) == "n0 and 1,499 more"
    assert quoted(["a", "b", "c"], 2) == "'a', 'b' and 1 more"


def test_an_unknown_name_gets_a_suggestion() -> None:
    assert suggestion("epoch", ["epochs", "seed"]) == "did you mean 'epochs'?"
    assert suggestion("zzz", ["epochs", "seed"], 1) == "known: epochs and 1 more"
    assert suggestion("x" * 10**6, ["epochs"]) == "known: epochs"


def test_the_line_of_an_error_is_short_and_never_empty() -> None:
    assert first_line(ValueError("  \n one \ntwo\n")) == "one"
    assert first_line(ValueError("one\ntwo\n"), last=True) == "two"
    assert first_line(RuntimeError("")) == "RuntimeError"
    assert first_line(RuntimeError("x" * 300)) == "x" * 200
    assert first_line(RuntimeError("\x1b[31m")) == r"\x1b[31m"
