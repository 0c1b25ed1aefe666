"""The anchor grid against torchvision's generator, and its centred form by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from maskrcnn.config import Config
from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.anchors import Anchors


def pyramid(height: int, width: int) -> list[Tensor]:
    """Maps of a padded input: strides 4 to 32, and every other cell of the last."""
    maps = [torch.zeros(1, 2, height // stride, width // stride) for stride in (4, 8, 16, 32)]
    return [*maps, maps[-1][:, :, ::2, ::2]]


def torchvisions(config: Config, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
    generator = AnchorGenerator(tuple((s,) for s in config.anchor_sizes), (config.anchor_ratios,) * len(maps))
    return generator(ImageList(torch.zeros(1, 3, *size), [size]), maps)[0]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 12).map(lambda n: 32 * n),
    st.integers(1, 12).map(lambda n: 32 * n),
    st.lists(st.integers(8, 400), min_size=5, max_size=5),
    st.lists(st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0]), min_size=1, max_size=4),
)
def test_rounded_anchors_are_torchvisions(height: int, width: int, sizes: list[int], ratios: list[float]) -> None:
    config = Config(anchor_sizes=tuple(sizes), anchor_ratios=tuple(ratios))
    maps = pyramid(height, width)
    levels = Anchors(config).levels(maps, (height, width))
    assert [len(level) for level in levels] == [m.shape[-2] * m.shape[-1] * len(ratios) for m in maps]
    assert torch.equal(torch.cat(levels), torchvisions(config, maps, (height, width)))


def test_torchvisions_coarsest_stride_at_800x1088() -> None:
    maps = pyramid(800, 1088)
    levels = Anchors(Config()).levels(maps, (800, 1088))
    assert torch.equal(torch.cat(levels), torchvisions(Config(), maps, (800, 1088)))
    # 13 x 17 cells, three shapes: the next row starts 800 // 13 = 61 pixels lower, not 64.
    first, below = levels[-1].reshape(13, 17, 3, 4)[:2, 0, 1]
    assert (below - first).tolist() == [0, 61, 0, 61]


def test_centred_anchors_by_hand() -> None:
    config = Config(anchor_rounding=False, anchor_sizes=(8, 16, 32, 64, 128), anchor_ratios=(1.0, 4.0))
    levels = Anchors(config).levels(pyramid(96, 64), (96, 64))
    # Stride 4: centres at 2, 6, …; ratio 4 is 16 high and 4 wide.
    assert levels[0][:4].tolist() == [[-2, -2, 6, 6], [0, -6, 4, 10], [2, -2, 10, 6], [4, -6, 8, 10]]
    assert levels[0][32].tolist() == [-2, 2, 6, 10]  # second row of 16 cells
    # Stride 64 whatever the padded size: a 2 x 1 grid with centres at 32 and 96.
    assert levels[4][::2].tolist() == [[-32, -32, 96, 96], [-32, 32, 96, 160]]


def test_anchors_on_the_corners_of_cells_by_hand() -> None:
    """As detectron2 and mmdetection place them: nothing is rounded, and strides are the pyramid's."""
    config = Config(anchor_rounding=False, anchor_offset=0.0, anchor_sizes=(9, 16, 32, 64, 128), anchor_ratios=(1.0,))
    levels = Anchors(config).levels(pyramid(96, 64), (96, 64))
    assert levels[0][:2].tolist() == [[-4.5, -4.5, 4.5, 4.5], [-0.5, -4.5, 8.5, 4.5]]
    assert levels[4].tolist() == [[-64, -64, 64, 64], [-64, 0, 64, 128]]


@settings(max_examples=25, deadline=None)
@given(st.floats(4, 300), st.floats(0.2, 5))
def test_shapes_keep_area_and_ratio_where_nothing_is_rounded(size: float, ratio: float) -> None:
    config = Config(anchor_rounding=False, anchor_sizes=(size,) * 5, anchor_ratios=(ratio,))
    x1, y1, x2, y2 = Anchors(config).levels(pyramid(32, 32), (32, 32))[3][0].tolist()
    assert (x2 - x1) * (y2 - y1) == pytest.approx(size**2, rel=1e-4)
    assert (y2 - y1) / (x2 - x1) == pytest.approx(ratio, rel=1e-4)
    assert (x1 + x2, y1 + y2) == pytest.approx((32, 32), abs=1e-3)


def test_one_size_a_level() -> None:
    with pytest.raises(MaskRCNNError, match="expected 6 sizes"):
        Anchors(Config(fpn_extra_levels=2))
