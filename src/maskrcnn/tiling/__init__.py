"""Large images in overlapping tiles, and one object for whatever several tiles saw of it. Needs no torch."""
