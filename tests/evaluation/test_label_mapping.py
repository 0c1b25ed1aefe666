import pytest

from maskrcnn.errors import MaskRCNNError
from maskrcnn.evaluation.label_mapping import label_mapping


def test_classes_are_matched_by_name() -> None:
    assert label_mapping(("a", "b", "c"), ("c", "a")).tolist() == [1, -1, 0]
    assert label_mapping(("nucleus",), ("object",)).tolist() == [0]
    with pytest.raises(MaskRCNNError, match="no name in common"):
        label_mapping(("a", "b"), ("c",))
    with pytest.raises(MaskRCNNError, match="is the data's 'Nucleus' the model's 'nucleus'"):
        label_mapping(("nucleus", "cell"), ("Nucleus", "mitosis"))
