"""Writes one mask file an object: images/a.jpg with masks/a/<class>_1.png."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from maskrcnn.datasets.conversion.dataset_writer import LabelledImage
from maskrcnn.datasets.conversion.mask_folder_writer import MaskFolderWriter
from maskrcnn.output.atomic_file import replacing


class BinmaskWriter(MaskFolderWriter):
    """train/images/a.jpg with train/masks/a/<class>_1.png, and so on."""

    def start(self) -> None:
        super().start()
        # classes.csv has the exact names.
        self.prefixes = [re.sub(r"[^\w. -]", "-", name) for name in self.names]

    def add(self, image: LabelledImage) -> None:
        folder = self.folder / image.split / "masks" / image.path.stem
        folder.mkdir(parents=True, exist_ok=True)
        mask = np.zeros(image.record.size, dtype=np.uint8)
        digits = len(str(len(image.objects)))
        for number, drawn in enumerate(image.objects, start=1):
            assert drawn.crop is not None
            name = f"{self.prefixes[drawn.annotation.label]}_{number:0{digits}}"
            bitmap, x, y = drawn.crop
            part = mask[y : y + bitmap.shape[0], x : x + bitmap.shape[1]]
            part[bitmap] = 255
            with replacing(folder / f"{name}.png") as file:
                Image.fromarray(mask).save(file, format="PNG", compress_level=1)
            part[:] = 0
            self.add_class(image, name, drawn.annotation)
