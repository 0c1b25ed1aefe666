"""Checkpoints of this and other libraries, and models known by name."""
