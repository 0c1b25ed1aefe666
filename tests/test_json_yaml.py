"""YAML and JSON of unknown origin."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import parse_json, read_json, read_yaml, shown


def written(folder: Path, text: str | bytes, name: str = "file.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_plain_values(tmp_path: Path) -> None:
    text = "a: 1\nb: [1.5, yes, ~, word]\nc: {0: x}\nd: 2024-01-02\nbase: &b {k: 1}\ne: {<<: *b, m: 2}\n"
    found = read_yaml(written(tmp_path, text))
    assert found == {
        "a": 1,
        "b": [1.5, True, None, "word"],
        "c": {0: "x"},
        "d": "2024-01-02",
        "base": {"k": 1},
        "e": {"k": 1, "m": 2},
    }


def test_spelling_is_kept_below_the_keys_asked_for(tmp_path: Path) -> None:
    text = "names: [02146, no, yes, 1.0, 0x1F, 2024-01-02]\nnc: 012\n"
    found = read_yaml(written(tmp_path, text), as_written=("names",))
    assert found == {"names": ["02146", "no", "yes", "1.0", "0x1F", "2024-01-02"], "nc": 10}
    found = read_yaml(written(tmp_path, "names: {0: no, 01: on}\nval:\n"), as_written=("names", "val"))
    assert found == {"names": {"0": "no", "01": "on"}, "val": None}


bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb, "aliases that expand"),
        ("a: " + "[" * 3000 + "]" * 3000, "nest"),
        ("a: &a [*a]", "alias of a node that contains it"),
        ("a: !!python/object/apply:os.system [true]", "type"),
        ("a: !!timestamp 2024-01-02", "type !!timestamp"),
        ("a: !!binary AAAA", "type !!binary"),
        ("a: " + "9" * 5000, "not valid YAML"),
        ("a: [1", "line"),
        ("a: {[1]: 2}", "unhashable"),
        (b"a: \xff\xfe\xfa", "UTF-8"),
        ("a: \x00", "not valid YAML"),
        ("a: !!int x", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("x" * (5 * 2**20), "at most"),
    ],
)
def test_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(MaskRCNNError, match=message) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        for read in (read_yaml, read_json):
            with pytest.raises(MaskRCNNError, match="cannot be read"):
                read(path)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(values)
def test_what_is_dumped_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.mktemp("yaml")
    assert read_yaml(written(folder, yaml.safe_dump(value, allow_unicode=False))) == value
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = written(folder, json.dumps(value).encode(encoding), "file.json")
        assert read_json(path) == value


@pytest.mark.parametrize("text", ["[" * 200_000, "9" * 5000, "{", "", "\x00"])
def test_json_refused(text: str) -> None:
    with pytest.raises(MaskRCNNError, match="JSON"):
        parse_json(text, "place")


def test_a_value_is_cut_before_it_goes_into_a_message() -> None:
    value: Any = ["x" * 10**6]
    for _ in range(40):
        value = [value] * 10
    for item in (value, 10**5000, "word", {"a": {"b": {"c": {"d": 1}}}}, b"x" * 10**6):
        assert len(shown(item)) <= 60


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", Path("/dev/zero")):
        for read in (read_yaml, read_json):
            with pytest.raises(MaskRCNNError, match=r"cannot be read: .* pipe or device"):
                read(path)
