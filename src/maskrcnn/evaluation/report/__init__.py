"""The report on an evaluation: one HTML file that needs nothing else, and metrics.json."""
