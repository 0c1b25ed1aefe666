"""A mask in its box: crops, run lengths, polygons, pasting and training patches. Needs numpy only, no torch."""

from maskrcnn.masks.crop import Box, Crop, crop_of
from maskrcnn.masks.masks import Masks
from maskrcnn.masks.paste import paste_mask
from maskrcnn.masks.polygons import rasterise
from maskrcnn.masks.rle import RLE, decode, encode

__all__ = ["RLE", "Box", "Crop", "Masks", "crop_of", "decode", "encode", "paste_mask", "rasterise"]
