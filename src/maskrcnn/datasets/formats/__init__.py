"""Readers of annotation formats, one file a format, and the registry that recognises them."""
