"""One self-contained page about a fitted model: verdict, numbers, pictures, and how it was made."""

from vaekit.report.page import render_report

__all__ = ["render_report"]
