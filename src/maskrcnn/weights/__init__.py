"""Trained weights: found by name or path, read, converted from other libraries' names, loaded into a model.

``read_*`` returns the content of a file, ``convert_*`` turns another library's parameters into ours, ``load_*`` fills a
model and returns a report.
"""
