from __future__ import annotations

import pytest

from maskrcnn.errors import MaskRCNNError, errors_at


def test_an_error_gets_its_place_and_a_prefix_and_keeps_its_fix():
    with pytest.raises(MaskRCNNError) as caught, errors_at("a.yaml", "not a recipe: "):
        raise MaskRCNNError("unknown setting 'x'", fix="did you mean 'y'?")
    assert str(caught.value) == "a.yaml: not a recipe: unknown setting 'x' (did you mean 'y'?)"
    assert (caught.value.where, caught.value.fix) == ("a.yaml", "did you mean 'y'?")


def test_other_errors_pass_unchanged():
    with pytest.raises(OSError, match="disk full"), errors_at("a.yaml"):
        raise OSError("disk full")
