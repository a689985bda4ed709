"""Jobs on tables: the odd rows of a table, with p-values that hold and the columns to blame."""

from vaekit.jobs.outlier_detector import OutlierDetector

__all__ = ["OutlierDetector"]
