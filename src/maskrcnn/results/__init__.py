"""What a model found in an image: the result, its overlay, its files. Needs no torch."""
