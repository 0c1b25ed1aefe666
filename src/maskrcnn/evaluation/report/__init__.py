"""The report on an evaluation: one HTML file that needs nothing else, and metrics.json."""

from maskrcnn.evaluation.report.report_files import write_report

__all__ = ["write_report"]
