from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from maskrcnn.datasets.formats.voc_colour_map import colour_numbers, colours, number_of, read_map, write_map
from maskrcnn.errors import MaskRCNNError


def test_the_first_colours_are_those_of_the_devkit() -> None:
    expected = [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128], [128, 128, 128],
        [64, 0, 0], [192, 0, 0],
    ]  # fmt: skip
    assert colours(np.arange(10)).tolist() == expected
    assert colours(np.array([20, 255])).tolist() == [[0, 64, 128], [224, 224, 192]]


@given(hnp.arrays(np.int64, 5, elements=st.integers(0, 2**24 - 1)))
def test_every_number_has_a_colour_of_its_own(numbers: np.ndarray) -> None:
    assert (colour_numbers(colours(numbers)) == numbers).all()


def test_places_leave_void_out() -> None:
    assert [number_of(place) for place in (0, 254, 255, 300)] == [0, 254, 256, 301]


@pytest.mark.parametrize(("largest", "mode"), [(20, "P"), (255, "P"), (256, "RGB"), (70_000, "RGB")])
def test_maps_come_back(tmp_path: Path, largest: int, mode: str) -> None:
    numbers = np.array([[0, 1, 255], [largest, 0, 7]])
    write_map(tmp_path / "a.png", numbers)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == mode
        assert np.array(image.convert("RGB")).tolist() == colours(numbers).tolist()
    back, coloured = read_map(tmp_path / "a.png", (2, 3))
    assert back.tolist() == numbers.tolist()
    assert coloured == (mode == "RGB")
    with pytest.raises(MaskRCNNError, match="expected a map of 5 x 5, found 2 x 3"):
        read_map(tmp_path / "a.png", (5, 5))
