"""Measuring a model: COCO metrics, kinds of errors, next steps."""
