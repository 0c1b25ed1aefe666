"""GeoJSON of masks, read by shapely: valid polygons of the mask's own pixels, holes and parts where they are."""

import json
import uuid

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from shapely.geometry import shape

from maskrcnn.masks.crop import EMPTY, Crop
from maskrcnn.results.geojson import feature, geometry


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.integers(0, 9), st.booleans())
def test_shapely_reads_the_mask_back(bitmap, x, placed):
    placing = (lambda points: points * (0.5, -0.25) + (1000, 2000)) if placed else None
    found = geometry(Crop(bitmap, x, 3), placing)
    if not bitmap.any():
        assert found is None
        return
    polygon = shape(json.loads(json.dumps(found)))
    assert polygon.is_valid
    assert polygon.geom_type == ("Polygon" if ndimage.label(bitmap)[1] == 1 else "MultiPolygon")
    rows, columns = np.indices(bitmap.shape)
    centres = np.stack((columns.ravel() + x + 0.5, rows.ravel() + 3.5), axis=1)
    centres = centres if placing is None else placing(centres)
    assert (shapely.contains_xy(polygon, *centres.T).reshape(bitmap.shape) == bitmap).all()
    if placed:
        for part in getattr(polygon, "geoms", [polygon]):
            assert part.exterior.is_ccw
            assert not any(ring.is_ccw for ring in part.interiors)


def test_a_feature_is_a_line_that_qupath_and_others_read():
    bitmap = np.ones((3, 4), dtype=bool)
    bitmap[1, 1] = False
    line = feature(7, Crop(bitmap, 10, 20), 'a "cell"\n', 0, 0.98765432)
    assert "\n" not in line
    row = json.loads(line)
    uuid.UUID(row["id"])
    assert row["id"] == json.loads(feature(7, Crop(bitmap, 0, 0), "b", 0, 0.5))["id"]
    assert row["id"] != json.loads(feature(8, Crop(bitmap, 0, 0), "b", 0, 0.5))["id"]
    ring, hole = row["geometry"]["coordinates"]
    assert ring == [[10, 20], [14, 20], [14, 23], [10, 23], [10, 20]]
    assert hole == [[11, 21], [12, 21], [12, 22], [11, 22], [11, 21]]
    properties = row["properties"]
    assert properties["classification"]["name"] == properties["class"] == 'a "cell"\n'
    assert (properties["score"], properties["area_px"]) == (0.987654, 11)
    assert feature(1, EMPTY, "a", 0, 0.5) is None
