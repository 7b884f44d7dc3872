"""A folder of results as one HTML file that needs neither network nor server."""

from discosim.report.html.write import report_text, write_report

__all__ = ["report_text", "write_report"]
