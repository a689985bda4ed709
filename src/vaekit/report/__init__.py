"""Self-contained pages: a fitted model, its verdict, numbers, pictures and how it was made; and a synthetic table."""

from vaekit.report.page import render_report
from vaekit.report.synthetic_page import render_synthetic_report

__all__ = ["render_report", "render_synthetic_report"]
