"""Labelled data: image files, data sets and their formats."""

from maskrcnn.data.dataset import Dataset, ImageRecord, has_split, open_dataset
from maskrcnn.data.objects import Annotation, Objects
from maskrcnn.data.problem import Problem

__all__ = ["Annotation", "Dataset", "ImageRecord", "Objects", "Problem", "has_split", "open_dataset"]
