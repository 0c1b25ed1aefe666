"""Geometry every part of the model shares: box overlap, non-maximum suppression, bilinear sampling."""
