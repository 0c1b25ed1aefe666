"""What labels say about one image: annotations as written, objects as drawn, and the problems found."""
