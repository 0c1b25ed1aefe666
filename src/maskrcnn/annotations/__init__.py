"""What labels say of one image: annotations as written, objects as drawn, problems found on the way."""
