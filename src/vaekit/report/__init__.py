"""One self-contained page about a fitted model: the verdict, numbers, pictures, and how the model was made."""

from vaekit.report.page import render_report

__all__ = ["render_report"]
