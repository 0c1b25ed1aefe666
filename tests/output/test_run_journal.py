"""The journal of a long run: what was saved is read back, and nothing else is taken for it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrcnn.errors import MaskRCNNError
from maskrcnn.output.run_journal import JOURNAL, Progress, RunJournal

ASKED = {"tile": 1024, "model": "nuclei", "region": (0, 0, 5, 5)}


@pytest.mark.parametrize("state", [b"", b"open\nobjects\x00"])
def test_what_was_saved_is_read(tmp_path, state):
    journal = RunJournal(tmp_path, ASKED)
    assert journal.read() is None
    progress = Progress(7, {"a.json": 120, "b.gz": 0}, {"objects": 9}, state)
    journal.save(Progress(3, {}, {}, b""))
    journal.save(progress)
    assert RunJournal(tmp_path, ASKED).read() == progress
    journal.remove()
    journal.remove()
    assert journal.read() is None


def test_another_run_is_not_continued(tmp_path):
    RunJournal(tmp_path, ASKED).save(Progress(7, {}, {}, b""))
    with pytest.raises(MaskRCNNError, match=r"of other settings: tile 1024 \(now 512\), score null \(now 0\.5\)"):
        RunJournal(tmp_path, ASKED | {"tile": 512, "score": 0.5}).read()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_journal_is_said_and_never_read(tmp_path, data):
    journal = RunJournal(tmp_path, ASKED)
    journal.save(Progress(7, {"a": 3}, {}, b"state"))
    content = bytearray((tmp_path / JOURNAL).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    (tmp_path / JOURNAL).write_bytes(content)
    with pytest.raises(MaskRCNNError, match=r"damaged file.*delete \.maskrcnn\.journal there"):
        journal.read()
