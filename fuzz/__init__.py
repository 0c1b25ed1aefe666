"""Mutated input files for every reader: the only exception that may come out is `MaskRCNNError`."""
