"""Measurements of hand-drawn masks."""

import numpy as np
import pytest

from tests.results.rectangles import rectangles_result


def test_measure_of_a_rectangle_is_in_image_coordinates():
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    image[5:9, 10:20] = (30, 60, 90)
    image[5, 10] = (70, 60, 90)
    first = rectangles_result([(10, 5, 10, 4)], [0.5], [0], size=(20, 30), image=image).measure()[0]
    assert first["class_name"] == "cat"
    assert first["area"] == 40
    assert (first["centroid_x"], first["centroid_y"]) == (15, 7)
    assert first["perimeter"] == 2 * (9 + 3)
    assert first["equivalent_diameter"] == pytest.approx(np.sqrt(160 / np.pi))
    # Full axes of the ellipse with the second moments of 10 and 4 pixel centres in a row.
    assert first["major_axis"] == pytest.approx(4 * np.sqrt((100 - 1) / 12))
    assert first["minor_axis"] == pytest.approx(4 * np.sqrt((16 - 1) / 12))
    assert first["eccentricity"] == pytest.approx(np.sqrt(1 - 15 / 99))
    assert abs(first["orientation"]) == pytest.approx(np.pi / 2)
    assert first["solidity"] == 1
    assert (first["mean_red"], first["mean_green"], first["mean_blue"]) == (31, 60, 90)
    assert first["mean_intensity"] == pytest.approx((31 + 60 + 90) / 3)


def test_measure_of_an_empty_mask_and_without_image():
    result = rectangles_result([(0, 0, 0, 0), (2, 2, 1, 1)], [0.5, 0.6], [0, 0])
    empty, pixel = result.measure()
    assert empty["area"] == 0
    assert np.isnan(empty["perimeter"])
    assert list(empty) == list(pixel)
    assert (pixel["area"], pixel["centroid_x"], pixel["centroid_y"]) == (1, 2.5, 2.5)
    assert "mean_intensity" not in pixel
