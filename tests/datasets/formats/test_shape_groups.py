import numpy as np
import pytest

from maskrcnn.annotations.problem import DataError
from maskrcnn.datasets.formats.shape_groups import Shape, checked_points, ellipse, objects_of, turned
from maskrcnn.masks import Crop, rasterise

SIZE = (20, 30)
LEFT, RIGHT = np.array([2.0, 2, 6, 2, 6, 6, 2, 6]), np.array([10.0, 4, 14, 4, 14, 8, 10, 8])
DOT = Crop(np.ones((2, 2), dtype=bool), 20, 10)


def shape(number: int, part: object = None, **changes: object) -> Shape:
    return Shape(number, 0, False, None, None, part)._replace(**changes)  # type: ignore[arg-type]


def test_shapes_without_a_group_stay_apart() -> None:
    found = objects_of([shape(1, [LEFT]), shape(2, DOT), shape(3, box=(1.0, 2.0, 3.0, 4.0))], SIZE)
    assert [annotation.id for annotation in found] == [1, 2, 3]
    assert found[0].segmentation == [LEFT]
    assert found[1].segmentation is DOT
    assert (found[2].segmentation, found[2].box) == (None, (1.0, 2.0, 3.0, 4.0))


def test_shapes_of_one_label_and_group_are_one_object() -> None:
    found = objects_of(
        [
            shape(1, [LEFT], group="7"),
            shape(2, [LEFT]),
            shape(3, [RIGHT], group="7", crowd=True),
            shape(4, [RIGHT], group="7", label=1),
            shape(5, group="7", box=(1.0, 1.0, 15.0, 9.0)),
        ],
        SIZE,
    )
    assert [(annotation.id, annotation.label, annotation.crowd) for annotation in found] == [
        (1, 0, True), (2, 0, False), (4, 1, False),
    ]  # fmt: skip
    assert [polygon.tolist() for polygon in found[0].segmentation] == [LEFT.tolist(), RIGHT.tolist()]  # type: ignore[union-attr]
    assert found[0].box == (1.0, 1.0, 15.0, 9.0)


def test_polygons_and_masks_of_one_object_add_up() -> None:
    (found,) = objects_of([shape(1, [LEFT], group="a"), shape(2, DOT, group="a")], SIZE)
    assert isinstance(found.segmentation, Crop)
    assert (found.segmentation.box, found.segmentation.area) == ((2.0, 2.0, 22.0, 12.0), 20)


@pytest.mark.parametrize("radius", [12.3, 40.0])
def test_a_circle_covers_the_pixels_in_it(radius: float) -> None:
    size = (100, 100)
    crop = rasterise([ellipse((50, 50), (radius, radius))], size)
    rows, columns = np.mgrid[:100, :100] + 0.5
    disc = np.hypot(rows - 50, columns - 50) < radius
    drawn = np.zeros(size, dtype=bool)
    drawn[crop.y : crop.y + crop.bitmap.shape[0], crop.x : crop.x + crop.bitmap.shape[1]] = crop.bitmap
    assert (drawn & disc).sum() / (drawn | disc).sum() > 0.97


def test_an_ellipse_is_turned_clockwise() -> None:
    points = ellipse((10, 20), (8, 2), 90).reshape(-1, 2)
    assert points.min(axis=0) == pytest.approx([8, 12], abs=0.05)
    assert points.max(axis=0) == pytest.approx([12, 28], abs=0.05)
    assert turned(np.array([[1.0, 0.0]]), 90).tolist() == pytest.approx(np.array([[0.0, 1.0]]))


@pytest.mark.parametrize("radii", [(0, 5), (-1, 5), (float("nan"), 5)])
def test_an_ellipse_needs_radii(radii: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="radii above 0"):
        ellipse((0, 0), radii)


def test_a_polygon_needs_three_points() -> None:
    assert checked_points(np.zeros((3, 2))).shape == (6,)
    with pytest.raises(DataError, match="3 or more points, found 2"):
        checked_points(np.zeros((2, 2)))
