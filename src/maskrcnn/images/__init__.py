"""Image files and whatever else callers call an image: reading, channels, sizes, prefetch. Needs no torch."""
