"""Large images in tiles: what a network sees there, placed in the image, read from memory or by region."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from maskrcnn.config import preset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.input_size import resized_size
from maskrcnn.masks.crop import crop_iou
from maskrcnn.prediction.image_predictor import ImagePredictor
from maskrcnn.prediction.network import DetectionArrays
from maskrcnn.prediction.tile_stream import Tiling
from maskrcnn.rasters.region import Region

SIDE, M = 700, 28


class BlobNetwork:
    """Finds bright blobs in its input: an ideal network, which remembers the sizes that it saw."""

    names = ("blob",)

    def __init__(self) -> None:
        self.config = preset("lite").replace(preprocess={"short": (256, 256), "long": 512}, max_detections=200)
        self.seen: list[tuple[int, int]] = []
        self.bad: set[int] = set()

    def check(self, options) -> None:
        pass

    def detect(self, images, options) -> DetectionArrays:
        rows = [self._blobs(image, options) for image in images]
        most = options.detections(self.config)
        arrays = {name: np.zeros((len(rows), most, *shape), kind) for name, (shape, kind) in FORMS.items()}
        for number, (boxes, masks, _) in enumerate(rows):
            count = min(len(boxes), most)
            arrays["boxes"][number, :count], arrays["masks"][number, :count] = boxes[:count], masks[:count]
            arrays["scores"][number, :count], arrays["valid"][number, :count] = 0.9, True
        return DetectionArrays(**arrays, sizes=np.array([size for *_, size in rows]))

    def _blobs(self, image, options):
        if len(self.seen) in self.bad:
            self.seen.append((0, 0))
            raise RuntimeError("not enough memory")
        size = resized_size(*image.shape[:2], options.preprocess(self.config))
        self.seen.append(size)
        seen = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))[..., 0] > 127
        labels = ndimage.label(seen)[0]
        boxes, masks = np.zeros((0, 4)), np.zeros((0, M, M))
        for number, (ys, xs) in enumerate(ndimage.find_objects(labels), 1):
            blob = Image.fromarray((labels[ys, xs] == number).astype(np.uint8) * 255)
            masks = np.append(masks, np.asarray(blob.resize((M, M), Image.Resampling.BILINEAR))[None] / 255, axis=0)
            boxes = np.append(boxes, [[xs.start, ys.start, xs.stop, ys.stop]], axis=0)
        return boxes, masks, size


FORMS = {
    "boxes": ((4,), np.float32),
    "scores": ((), np.float32),
    "labels": ((), np.int64),
    "valid": ((), bool),
    "masks": ((M, M), np.float32),
}


@pytest.fixture
def network() -> BlobNetwork:
    return BlobNetwork()


@pytest.fixture(scope="module")
def discs() -> np.ndarray:
    """uint8 [SIDE, SIDE, 3] with 15 x 15 discs, and one bar through five tiles."""
    rng = np.random.default_rng(0)
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    yy, xx = np.mgrid[:SIDE, :SIDE]
    for y, x in np.ndindex(15, 15):
        cy, cx = (np.array([y, x]) + 0.5) * SIDE / 15 + rng.uniform(-6, 6, 2)
        image[(yy - cy) ** 2 + (xx - cx) ** 2 < rng.uniform(9, 14) ** 2] = 255
    image[338:362] = 0
    image[345:355, 20:680] = 255
    return np.repeat(image[..., None], 3, axis=2)


@pytest.mark.parametrize(("tile", "scale"), [(320, 1.0), (384, 1.0), (256, 0.5), (448, 2.0)])
def test_tiled_is_untiled(network, discs, tile, scale):
    predictor = ImagePredictor(network)
    whole = predictor.predict(discs, size=round(SIDE * scale), max_detections=1000)
    network.seen.clear()
    tiled = predictor.predict(discs, tile=tile, scale=scale)
    assert len(network.seen) >= 9 or scale == 0.5
    assert max(max(size) for size in network.seen) <= tile
    # Shrunk by means of blocks, or by a filter: two discs that nearly touch may be one.
    assert len(whole) <= len(tiled) <= len(whole) * (1.02 if scale < 1 else 1)
    assert len(whole) > 200
    crops = list(tiled.masks.crops)
    best = [max(crop_iou(crop, other) for other in crops) for crop in whole.masks.crops]
    assert np.mean(np.array(best) > 0.9) > (0.95 if scale < 1 else 0.99)
    assert tiled.image is not None
    assert tiled.size == (SIDE, SIDE)
    widest = tiled.boxes[:, 2] - tiled.boxes[:, 0]
    assert widest.max() == pytest.approx(660, abs=6)  # one bar


def test_a_tiff_is_read_by_region_and_gives_the_same(network, discs, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", discs, tile=(64, 64), compression="zlib", photometric="rgb")
    predictor = ImagePredictor(network)
    of_array, of_file = (predictor.predict(source, tile=320) for source in (discs, tmp_path / "a.tif"))
    assert json.dumps(of_array.to_coco(1)) == json.dumps(
        [{key: value for key, value in row.items() if key != "file_name"} for row in of_file.to_coco(1)]
    )
    assert of_file.path == tmp_path / "a.tif"
    assert of_file.image is None


def test_a_region_alone_is_predicted_in_the_images_pixels(network, discs):
    predictor = ImagePredictor(network)
    result = predictor.predict(discs, tile=320, region=(100, 50, 400, 300))
    assert result.boxes.min(axis=0)[:2] == pytest.approx([100, 50], abs=40)
    assert (result.boxes[:, :2] >= (99, 49)).all()
    assert (result.boxes[:, 2:] <= (501, 351)).all()
    whole = predictor.predict(discs[50:350, 100:500], size=300, max_detections=1000)
    assert len(result) == len(whole)


def test_a_tile_that_fails_is_named_and_the_others_are_there(network, discs):
    predictor = ImagePredictor(network)
    complete = predictor.predict(discs, tile=320)
    network.seen.clear()
    network.bad = {0}  # of which no other tile sees the corner
    result = predictor.predict(discs, tile=320)
    assert 0 < len(complete) - len(result) < 30
    (note,) = [note for note in result.notes if "no objects from" in note]
    assert "not enough memory" in note
    network.bad, network.seen = set(range(1000)), []
    with pytest.raises(MaskRCNNError, match="not enough memory"):
        predictor.predict(discs, tile=320)


def test_tiles_with_as_many_objects_as_the_model_returns_are_told(discs):
    network = BlobNetwork()
    network.config = network.config.replace(max_detections=5)
    result = ImagePredictor(network).predict(discs, tile=320)
    assert any("with as many objects as the model returns" in note for note in result.notes)


def test_a_long_strip_keeps_its_scale(network):
    """A tile's longest edge stays within what the preprocessing allows for its shortest."""
    tiling = Tiling.of(Region(0, 0, 5000, 120), 512, 1.0, network.config.preprocess)
    height, width = tiling.grid.size
    assert height == tiling.edge == 120
    assert width <= 240
    assert resized_size(height, width, network.config.preprocess.at(120)) == (height, width)


@pytest.mark.parametrize("size", [(1, 1), (40, 40), (40, 900), (300, 30)])
def test_an_image_smaller_than_a_tile_is_one_or_a_row_of_them(network, size):
    image = np.zeros((*size, 3), dtype=np.uint8)
    image[size[0] // 4 : size[0] // 2 + 1, size[1] // 4 : size[1] // 2 + 1] = 255
    assert len(ImagePredictor(network).predict(image, tile=512)) == 1


def test_sixteen_bits_are_stretched_as_in_the_whole_image(network, discs, tmp_path):
    """Not tile by tile: in a dark corner the blobs would be others."""
    deep = discs[..., 0].astype(np.uint16) * 200
    deep[:300, :300] //= 4
    tifffile.imwrite(tmp_path / "a.tif", deep, tile=(64, 64))
    predictor = ImagePredictor(network)
    whole = predictor.predict(tmp_path / "a.tif", size=SIDE, max_detections=1000)
    tiled = predictor.predict(tmp_path / "a.tif", tile=320)
    assert len(whole) == len(tiled) < 226
    assert whole.notes == tiled.notes


def test_other_kinds_of_images(network, discs):
    tiled = ImagePredictor(network).predict([Image.fromarray(discs), lambda: discs, discs], tile=320)
    assert len({len(result) for result in tiled}) == 1


def test_a_list_gives_a_list(network, discs):
    results = ImagePredictor(network).predict([discs, discs[:400]], tile=320)
    assert [result.size for result in results] == [(700, 700), (400, 700)]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"tile": 100}, "expected at least 256"),
        ({"tile": 0}, "tile"),
        ({"tile": 256, "size": 300}, "expected scale instead of size"),
        ({"tile": 256, "scale": 0}, "scale: expected a number"),
        ({"tile": 256, "scale": float("nan")}, "scale: expected a number"),
        ({"tile": 256, "region": (0, 0, 701, 5)}, "expected a region within 700 x 700"),
    ],
)
def test_impossible_tiles_are_refused(network, discs, arguments, fault):
    with pytest.raises(MaskRCNNError, match=fault):
        ImagePredictor(network).predict(discs, **arguments)
