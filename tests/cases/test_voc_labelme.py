"""VOC, labelme, CVAT and masks as files."""

from __future__ import annotations

from pathlib import Path

import tifffile

from maskrcnn.data import open_dataset
from maskrcnn.data.doctor.examine import examine


def test_mask_int64(case: Path) -> None:
    dataset = open_dataset(case / "data")
    assert len(dataset) == 6
    assert dataset.problems == []
    for index, record in enumerate(dataset.records):
        assert record.labels is not None
        ids = tifffile.imread(record.labels)
        assert ids.dtype == "int64"
        objects = dataset.objects(index)
        assert objects.ids.tolist() == [1, 2, 3, 4]
        assert [crop.area for crop in objects.crops if crop] == [int((ids == value).sum()) for value in objects.ids]
    assert not examine(case / "data", workers=0).errors
