"""The doctor for data sets: finds what is wrong with images and labels, and repairs a copy."""
