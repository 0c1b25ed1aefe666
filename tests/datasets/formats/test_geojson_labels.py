import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from maskrcnn.datasets.formats.format_registry import detect
from maskrcnn.datasets.open_dataset import open_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.masks.crop import crop_of
from maskrcnn.results.geojson import HEAD, TAIL, feature
from tests.reading import lost, problems_of

GEO = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "geo"
W, H = 30, 20


def ring(x1: float, y1: float, x2: float, y2: float) -> list[list[float]]:
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]]


def area(*rings: Any, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": list(rings)}
    }  # fmt: skip


def collection(*features: Any, **more: Any) -> str:
    return json.dumps({"type": "FeatureCollection", **more, "features": list(features)})


def image(path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, np.zeros((H, W, 3), dtype=np.uint8), photometric="rgb", metadata=None, **options)
    else:
        Image.new("RGB", (W, H)).save(path)
    return path


def georeferenced(path: Path, *, point: bool = False) -> Path:
    """Half a metre a pixel, north up, from (600000, 5000000) in EPSG:32632."""
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 2 if point else 1, 3072, 0, 1, 32632)
    tags = [
        (33550, "d", 3, (0.5, 0.5, 0.0), False),
        (33922, "d", 6, (0, 0, 0, 600000.0, 5000000.0, 0), False),
        (34735, "H", len(keys), keys, False),
    ]
    return image(path, extratags=tags)


def test_classes_holes_and_parts(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    several = area(None, classification={"name": "tumour"}) | {
        "geometry": {"type": "MultiPolygon", "coordinates": [[ring(0, 10, 4, 14)], [ring(6, 10, 9, 14)]]}
    }
    (tmp_path / "a.geojson").write_text(
        collection(
            area(ring(2, 3, 12, 9), ring(4, 4, 8, 7), name="stroma"),
            several,
            area(ring(20, 2, 24, 5)),
            area(ring(20, 10, 24, 15), **{"class": "fat", "name": "number 7"}),
        )
    )
    dataset = open_dataset(tmp_path)
    objects = dataset.objects(0)
    assert dataset.names == ("fat", "object", "stroma", "tumour")
    assert objects.labels.tolist() == [2, 3, 1, 0]
    expected = np.zeros((H, W), dtype=bool)
    expected[3:9, 2:12] = True
    expected[4:7, 4:8] = False
    hole, parts = objects.crops[0], objects.crops[1]
    assert hole is not None
    assert parts is not None
    np.testing.assert_array_equal(hole.bitmap, crop_of(expected).bitmap)
    assert hole.box == (2, 3, 12, 9)
    assert parts.area == 16 + 12
    assert parts.box == (0, 10, 9, 14)
    assert not problems_of(dataset)


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz", "a.geojsonl", "A.GeoJSONL.gz", "a.png.geojson"])
def test_spellings(tmp_path: Path, name: str) -> None:
    image(tmp_path / "a.png")
    image(tmp_path / "b.png")
    features = [area(ring(2, 3, 8, 9), name="cat"), area(ring(12, 3, 18, 9), name="dog")]
    lines = "\n".join(map(json.dumps, features)) if "jsonl" in name.lower() else json.dumps(features)
    (tmp_path / name).write_bytes(gzip.compress(lines.encode()) if name.endswith("gz") else lines.encode())
    for place in (tmp_path, tmp_path / name):
        dataset = open_dataset(place)
        assert dataset.records[0].path.name == "a.png"
        assert dataset.names == ("cat", "dog")
        assert dataset.objects(0).boxes.tolist() == [[2, 3, 8, 9], [12, 3, 18, 9]]


def test_what_predict_writes_is_read(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    mask = np.zeros((H, W), dtype=bool)
    mask[2:9, 3:14] = True
    mask[4:6, 5:8] = False
    mask[12:15, 20:22] = True
    line = feature(1, crop_of(mask), "cell", 0, 0.9)
    assert line is not None
    (tmp_path / "a.geojson").write_text(HEAD + line + TAIL)
    dataset = open_dataset(tmp_path)
    crop = dataset.objects(0).crops[0]
    assert dataset.names == ("cell",)
    assert crop is not None
    np.testing.assert_array_equal(crop.bitmap, crop_of(mask).bitmap)


def test_splits_folders_and_a_single_pair(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path / "split" / split / "a.png")
        (tmp_path / "split" / split / "a.geojson").write_text(collection(area(ring(2, 3, 8, 9), name=split)))
    assert open_dataset(tmp_path / "split", "val").names == ("train", "val")
    image(tmp_path / "two/images/a.png")
    image(tmp_path / "two/images/b.png")
    (tmp_path / "two/labels").mkdir()
    (tmp_path / "two/labels/b.geojson").write_text(collection(area(ring(2, 3, 8, 9))))
    assert open_dataset(tmp_path / "two").records[0].path.name == "b.png"
    image(tmp_path / "pair/slide.tif")
    (tmp_path / "pair/annotations.geojson").write_text(collection(area(ring(2, 3, 8, 9))))
    assert len(open_dataset(tmp_path / "pair")) == 1
    image(tmp_path / "pair/other.tif")
    with pytest.raises(MaskRCNNError, match="no image annotations"):
        open_dataset(tmp_path / "pair")


@pytest.mark.parametrize(("point", "shift"), [(False, 0.0), (True, 0.5)])
def test_coordinates_of_the_image_become_pixels(tmp_path: Path, point: bool, shift: float) -> None:
    georeferenced(tmp_path / "a.tif", point=point)
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    square = ring(600001, 4999998.5, 600004, 4999995.5)
    (tmp_path / "a.geojson").write_text(collection(area(square), crs=crs))
    annotations, _ = open_dataset(tmp_path).annotations(0)
    polygon = annotations[0].segmentation
    assert isinstance(polygon, list)
    expected = np.array([[2, 3], [8, 3], [8, 9], [2, 9]]) + shift
    np.testing.assert_allclose(polygon[0].reshape(-1, 2), expected, atol=1e-6)
    (tmp_path / "a.geojson").write_text(collection(area(ring(2, 3, 8, 9))))
    assert open_dataset(tmp_path).objects(0).boxes.tolist() == [[2, 3, 8, 9]]


def test_another_coordinate_system_is_said(tmp_path: Path) -> None:
    georeferenced(tmp_path / "a.tif")
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    (tmp_path / "a.geojson").write_text(collection(area(ring(1e6, 6e6, 1e6 + 4, 6e6 + 4)), crs=crs))
    with pytest.raises(MaskRCNNError, match=r"EPSG:32632, found urn:ogc:def:crs:EPSG::3857"):
        open_dataset(tmp_path)
    image(tmp_path / "a.tif")
    with pytest.raises(MaskRCNNError, match="the image has no georeference"):
        open_dataset(tmp_path)


def test_what_is_no_area_is_left_out_and_said(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    spot = {"type": "Feature", "properties": {"name": "spot"}, "geometry": {"type": "Point", "coordinates": [3, 3]}}
    bad = [area([[1, 2], [3, 4]]), area([[1, "x"]]), area() | {"geometry": None}, 7, area(ring(40, 2, 50, 9))]
    holed = area(ring(40, 2, 50, 9), ring(42, 3, 44, 5))
    (tmp_path / "a.geojson").write_text(collection(spot, *bad, holed, area(ring(2, 3, 8, 9))))
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("object",)
    assert len(dataset.objects(0).boxes) == 1
    assert lost(dataset) == (0, 6)
    notes = [problem.what for problem in problems_of(dataset) if problem.severity == "note"]
    assert notes == ["1 feature left out: points or lines, without an area"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"7", b'{"features": 3}', gzip.compress(b"[]")[:9]])
@pytest.mark.parametrize("name", ["b.geojson", "b.geojsonl", "b.geojson.gz"])
def test_a_damaged_file_loses_its_image_only(tmp_path: Path, name: str, content: bytes) -> None:
    for stem in "ab":
        image(tmp_path / f"{stem}.png")
    (tmp_path / "a.geojson").write_text(collection(area(ring(2, 3, 8, 9))))
    (tmp_path / name).write_bytes(content)
    dataset = open_dataset(tmp_path)
    if name == "b.geojsonl" and content in (b"", b"7", b'{"features": 3}'):  # lines that are no features
        assert len(dataset) == 2
        assert len(dataset.objects(1).boxes) == 0
    else:
        assert [record.path.name for record in dataset.records] == ["a.png"]


def test_real_buildings(tmp_path: Path) -> None:
    if not GEO.is_dir():
        pytest.skip("the real GeoTIFF is not here")
    for name in ("sample_geotiff.tif", "geotiff_labels.geojson"):
        (tmp_path / name).symlink_to(GEO / name)
    found = detect(tmp_path)
    assert found is not None
    assert found[0].name == "geojson"
    objects = open_dataset(tmp_path).objects(0)
    assert len(objects.boxes) == 43
    # The file says each footprint's area in square metres, of which a pixel has a quarter.
    features = json.loads((GEO / "geotiff_labels.geojson").read_text())["features"]
    inside = (objects.boxes > 0).all(axis=1) & (objects.boxes < 900).all(axis=1)
    for crop, whole, one in zip(objects.crops, inside, features, strict=True):
        assert crop is not None
        if whole:
            points = np.array(one["geometry"]["coordinates"][0])
            x, y = (points - points[0]).T[:2]
            written = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
            assert crop.area * 0.25 == pytest.approx(written, rel=0.1)
