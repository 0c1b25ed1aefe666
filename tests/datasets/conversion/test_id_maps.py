import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.objects import Drawn
from maskrcnn.datasets.conversion.id_maps import draw_ids
from maskrcnn.datasets.conversion.omissions import Omissions
from maskrcnn.masks import Crop

SIZE = (8, 9)


def drawn(x: int, y: int, width: int, height: int, crowd: bool = False) -> Drawn:
    crop = Crop(np.ones((height, width), dtype=bool), x, y)
    return Drawn(Annotation(1, 0, crowd, None, None, crop), crop, crop.box)


def told(objects: list[Drawn], layers: int = 16) -> tuple[list[np.ndarray], Omissions]:
    losses = Omissions("test")
    return draw_ids(objects, SIZE, losses, layers), losses


def test_the_smaller_object_is_on_top_and_single_objects_before_crowds() -> None:
    maps, losses = told([drawn(0, 0, 4, 4), drawn(1, 1, 2, 2), drawn(4, 4, 1, 1, crowd=True), drawn(4, 4, 2, 2)], 1)
    assert maps[0][0, :5].tolist() == [1, 1, 1, 1, 0]
    assert (maps[0][1:3, 1:3] == 2).all()
    assert (maps[0][4:6, 4:6] == 4).all()
    assert (losses.counts["hidden"], losses.counts["covered"], losses.pixels["covered"]) == (1, 1, 4)


def test_objects_with_a_box_only_have_no_pixel_and_are_no_loss() -> None:
    maps, losses = told([Drawn(Annotation(1, 0, False, None, None, None), None, (0, 0, 1, 1))])
    assert not maps[0].any()
    assert not losses.counts


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 4), st.integers(1, 3), st.booleans()), max_size=9
    )
)
def test_layers_hold_every_pixel_of_every_object(places: list[tuple[int, int, int, int, bool]]) -> None:
    objects = [drawn(*place) for place in places]
    maps, losses = told(objects)
    assert not losses.counts
    for number, (_, crop, _) in enumerate(objects, start=1):
        assert crop is not None
        expected = np.zeros(SIZE, dtype=bool)
        expected[crop.y : crop.y + crop.bitmap.shape[0], crop.x : crop.x + crop.bitmap.shape[1]] = True
        assert (sum((layer == number).astype(int) for layer in maps) == expected).all()
    first, lost = told(objects, 1)
    assert (first[0] == maps[0]).all()
    visible = sum(int((first[0] == number).any()) for number in range(1, len(objects) + 1))
    assert lost.counts["hidden"] == len(objects) - visible
