"""Where a view puts pixels and points: a ramp of values says which place of the image a pixel shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.rasters.memory_raster import MemoryRaster
from maskrcnn.rasters.region import Region
from maskrcnn.training.samples.view import View, largest_shrink, resize


def ramps(height: int, width: int, step: int = 1) -> np.ndarray:
    """uint16 [h, w, 2]: 64 times x and y of each pixel's centre in image pixels, stored ``step`` times smaller."""
    x = (np.arange(-(-width // step)) + 0.5) * step * 64
    y = (np.arange(-(-height // step)) + 0.5) * step * 64
    return np.stack(np.meshgrid(x, y), axis=-1).astype(np.uint16)


@settings(max_examples=120, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.floats(0.1, 3),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([None, 32, 100, 256]),
    st.sampled_from([1, 2, 4, 8]),
)
def test_pixels_and_points_agree(
    height: int, width: int, zoom: float, right: float, down: float, canvas: int | None, shrink: int
) -> None:
    """Also of images that were read smaller, whose edges do not divide."""
    shrink = min(shrink, largest_shrink(zoom))
    spare = [0, 0] if canvas is None else [max(width - canvas / zoom, 0), max(height - canvas / zoom, 0)]
    view = View.of((height, width), zoom, (right * spare[0], down * spare[1]), canvas, shrink)
    shown = view.pixels(ramps(height, width, shrink)).astype(float) / 64
    assert shown.shape[:2] == view.size
    for axis, length in ((0, height), (1, width)):
        expected = max(round(length * zoom), 1)
        assert view.size[axis] == (expected if canvas is None else min(expected, canvas))
    x, y = np.meshgrid(np.arange(view.size[1]) + 0.5, np.arange(view.size[0]) + 0.5)
    places = np.stack((x, y), axis=-1).reshape(-1, 2)
    wanted = view.to_image(places).reshape(*view.size, 2)
    # At its edges an image repeats its last pixel, and a filter that shrinks sees fewer of them.
    reach = (max(1.0, 1 / zoom) + 1) * shrink
    inner = ((wanted > reach) & (wanted < np.array([width, height]) - reach)).all(axis=-1)
    assert np.abs(shown - wanted)[inner].max(initial=0) <= 0.1 * max(1, 1 / zoom)
    np.testing.assert_allclose(view.to_sample(view.to_image(places)), places, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 400), st.floats(0.1, 3), st.floats(0, 1), st.integers(32, 256))
def test_the_window_is_the_one_asked_for(length: int, zoom: float, place: float, canvas: int) -> None:
    """To a pixel of the sample or two, which whole pixels cost."""
    start = place * max(length - canvas / zoom, 0)
    view = View.of((length, length), zoom, (start, start), canvas)
    first, last = view.to_image(np.array([[0.0, 0, *view.size]]))[0, [0, 2]]
    assert abs(first - start) <= 1.5 / zoom + 1e-6
    assert abs(last - min(start + canvas / zoom, length)) <= 3 / zoom + 1e-6
    assert -1e-6 <= first <= last <= length + 1e-6


def test_boxes_map_as_their_corners_do() -> None:
    view = View.of((100, 200), 1.7, (13.2, 8.1), 64)
    box = np.array([[10.0, 20, 50, 60]])
    assert view.to_sample(box).tolist() == [np.concatenate(view.to_sample(box.reshape(2, 2))).tolist()]
    np.testing.assert_allclose(view.to_image(view.to_sample(box)), box)
    grown = np.prod(np.diff(view.to_sample(box).reshape(2, 2), axis=0)) / (40 * 40)
    assert grown == pytest.approx(view.area_zoom)


def test_the_whole_image_at_its_size_is_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    view = View.of((37, 51), 1.0)
    assert np.array_equal(view.pixels(image), image)
    assert np.array_equal(view.to_sample(np.eye(2)), np.eye(2))


@pytest.mark.parametrize("size", [(20, 30), (97, 51), (64, 300)])
def test_shrinking_averages_as_pillow_does(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (101, 203, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.abs(resize(image, *size).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 12])
def test_channels_are_scaled_alike(channels: int) -> None:
    image = np.random.default_rng(2).integers(0, 256, (40, 50, channels), dtype=np.uint8)
    scaled = resize(image, 25, 90)
    assert scaled.shape == (25, 90, channels)
    for channel in range(channels):
        assert np.array_equal(scaled[..., channel], resize(image[..., channel : channel + 1], 25, 90)[..., 0])
    deep = resize(image.astype(np.uint16) * 257, 25, 90)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - scaled).max() <= 1


def test_a_change_of_colours_is_done_where_fewer_pixels_are() -> None:
    seen = []

    def change(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels.shape[:2])
        return 255 - pixels

    image = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    small, large = View.of((60, 80), 0.25), View.of((60, 80), 3.0)
    for view in (small, large):
        difference = view.pixels(image, change).astype(int) - (255 - view.pixels(image).astype(int))
        assert np.abs(difference).max() <= 1
    assert seen == [(15, 20), (60, 80)]


@pytest.mark.parametrize(("zoom", "times"), [(1.5, 1), (1.0, 1), (0.51, 1), (0.5, 2), (0.25, 4), (0.13, 4), (0.01, 8)])
def test_an_image_is_read_smaller_only_where_it_is_shrunk_more(zoom: float, times: int) -> None:
    assert largest_shrink(zoom) == times


@pytest.mark.parametrize(("zoom", "shrink"), [(1.3, 1), (0.4, 2), (0.2, 4)])
def test_a_view_of_its_region_alone_is_that_of_the_whole_image(zoom: float, shrink: int) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (203, 301, 3), dtype=np.uint8)
    view = View.of((203, 301), zoom, (150.3, 120.8), 32, shrink)
    region, raster = view.region((203, 301), shrink), MemoryRaster(whole)
    part = raster.read(region, shrink).pixels
    assert part.shape[0] < 203 // shrink
    expected = view.pixels(raster.read(Region(0, 0, 301, 203), shrink).pixels)
    np.testing.assert_array_equal(view.of_region().pixels(part), expected)
    corners = np.array([[10.0, 20.0]])
    np.testing.assert_array_equal(view.of_region().to_sample(corners), view.to_sample(corners))
