from pathlib import Path

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord
from maskrcnn.datasets.conversion.dataset_writer import LabelledImage
from maskrcnn.datasets.conversion.idmask_writer import IdmaskWriter
from maskrcnn.datasets.conversion.omissions import Omissions


def test_one_class_needs_no_table(tmp_path: Path) -> None:
    image = LabelledImage("train", tmp_path / "a.png", ImageRecord(1, tmp_path / "a.png", 6, 8), [])
    for crowd, written in ((False, False), (True, True)):
        writer = IdmaskWriter(tmp_path, ["cell"], ["train"], Omissions("id masks"))
        writer.add_class(image, "1", Annotation(1, 0, crowd, None, None, None))
        writer.close()
        assert (tmp_path / "train" / "classes.csv").exists() == written
    assert (tmp_path / "names.txt").read_text() == "cell\n"
