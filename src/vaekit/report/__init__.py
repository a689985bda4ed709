"""Self-contained pages: a fitted model, its verdict, numbers, pictures and how it was made; a diagnosis; and a
synthetic table."""

from vaekit.report.doctor_page import render_diagnosis
from vaekit.report.page import render_report
from vaekit.report.synthetic_page import render_synthetic_report

__all__ = ["render_diagnosis", "render_report", "render_synthetic_report"]
