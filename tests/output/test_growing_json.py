"""JSON files that grow: complete after each save, and the same bytes however often they were cut and continued."""

import gzip
import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrcnn.output import growing_json
from maskrcnn.output.growing_json import GrowingJson

ENDS = '{"type": "FeatureCollection", "features": [', "]}\n"


def content(path, compressed):
    return json.loads(gzip.decompress(path.read_bytes()) if compressed else path.read_text())


@pytest.mark.parametrize("compressed", [False, True])
def test_it_is_complete_after_each_save(tmp_path, compressed):
    with GrowingJson(path := tmp_path / "a.json", *ENDS, compressed=compressed) as file:
        file.save()
        assert content(path, compressed) == {"type": "FeatureCollection", "features": []}
        for count in range(3):
            file.add([json.dumps(count)])
            file.save(durable=count == 1)
            assert content(path, compressed)["features"] == [*range(count + 1)]


def test_a_list_is_written_a_row_a_line(tmp_path):
    with GrowingJson(path := tmp_path / "a.json", "[", "]\n") as file:
        file.save()
        assert path.read_text() == "[]\n"
        file.add(["1", "2"])
        file.save()
    assert path.read_text() == "[1,\n2\n]\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    rows=st.lists(st.lists(st.integers(0, 10**6), max_size=4), max_size=8),
    cut=st.integers(0, 8),
    compressed=st.booleans(),
    junk=st.binary(max_size=50),
)
def test_cut_back_and_continued_it_has_the_same_bytes(tmp_path, monkeypatch, rows, cut, compressed, junk):
    monkeypatch.setattr(growing_json, "MEMBER_BYTES", 12)
    texts = [[json.dumps(value) for value in group] for group in rows]
    whole, path = tmp_path / "whole", tmp_path / "cut"
    places = [0]
    with GrowingJson(whole, *ENDS, compressed=compressed) as file:
        for group in texts:
            file.add(group)
            places.append(file.save())
        file.save()
    assert all(a <= b for a, b in pairwise(places))
    cut = min(cut, len(texts))
    path.write_bytes(whole.read_bytes()[: places[cut]] + junk)  # as a killed process leaves it
    with GrowingJson(path, *ENDS, compressed=compressed, place=places[cut]) as file:
        for group in texts[cut:]:
            file.add(group)
            file.save()
        file.save()
    assert path.read_bytes() == whole.read_bytes()
    assert content(path, compressed)["features"] == [value for group in rows for value in group]


def test_a_file_that_was_shortened_is_not_continued(tmp_path):
    (tmp_path / "a.json").write_text("[1")
    with pytest.raises(OSError, match="expected at least 50 bytes, found 2"):
        GrowingJson(tmp_path / "a.json", "[", "]\n", place=50)
    with pytest.raises(FileNotFoundError):
        GrowingJson(tmp_path / "b.json", "[", "]\n", place=0)
