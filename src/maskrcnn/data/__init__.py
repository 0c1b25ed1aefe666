"""Labelled data: image files, data sets and their formats."""

from maskrcnn.data.dataset import Dataset, ImageRecord, Objects, has_split, open_dataset

__all__ = ["Dataset", "ImageRecord", "Objects", "has_split", "open_dataset"]
