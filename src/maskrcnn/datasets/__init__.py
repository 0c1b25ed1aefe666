"""Labelled data sets: folders of images with annotations, opened by split."""
