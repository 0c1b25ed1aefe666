"""Writes id maps (see `formats.idmask`), as PNG, or as TIFF with further pages where objects overlap."""

from __future__ import annotations

import numpy as np
from PIL import Image

from maskrcnn.datasets.conversion.dataset_writer import LabelledImage
from maskrcnn.datasets.conversion.id_maps import draw_ids
from maskrcnn.datasets.conversion.mask_folder_writer import MaskFolderWriter
from maskrcnn.output.atomic_file import replacing


class IdmaskWriter(MaskFolderWriter):
    """train/images and train/masks, and so on; object k of an image is k in its map."""

    def add(self, image: LabelledImage) -> None:
        layers = draw_ids(image.objects, image.record.size, self.omissions)
        self.omissions.add("layered", int(len(layers) > 1))
        dtype = next(kind for kind in (np.uint8, np.uint16, np.int32) if len(image.objects) <= np.iinfo(kind).max)
        folder = self.folder / image.split / "masks"
        folder.mkdir(parents=True, exist_ok=True)
        first, *others = (Image.fromarray(layer.astype(dtype)) for layer in layers)
        if others or dtype is np.int32:
            with replacing(folder / f"{image.path.stem}.tif") as file:
                kind = {"format": "TIFF", "compression": "tiff_adobe_deflate"}
                first.save(file, save_all=True, append_images=others, **kind)
        else:
            with replacing(folder / f"{image.path.stem}.png") as file:
                first.save(file, format="PNG")
        for number, drawn in enumerate(image.objects, start=1):
            self.add_class(image, str(number), drawn.annotation)
