"""The report on an evaluation: one HTML file that needs nothing else, and metrics.json."""

from maskrcnn.evaluate.report.writer import write_report

__all__ = ["write_report"]
