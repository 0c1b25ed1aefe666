"""Mask R-CNN (He et al. 2017), one file a noun of the paper; start with `mask_rcnn.py`."""
