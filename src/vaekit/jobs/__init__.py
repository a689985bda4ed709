"""Jobs on tables: the odd rows of a table, with p-values that hold and the columns to blame."""

from vaekit.jobs.blame import Reason
from vaekit.jobs.conformal import benjamini_hochberg
from vaekit.jobs.outlier_detector import OutlierDetector

__all__ = ["OutlierDetector", "Reason", "benjamini_hochberg"]
