"""Jobs on tables: odd rows with p-values and the columns to blame, and holes filled in with intervals that hold."""

from vaekit.jobs.blame import Reason
from vaekit.jobs.conformal import benjamini_hochberg
from vaekit.jobs.constraints import BrokenConstraint, Constraint, check_constraints
from vaekit.jobs.imputer import Imputer
from vaekit.jobs.outlier_detector import OutlierDetector
from vaekit.jobs.pooling import Pooled, pool
from vaekit.jobs.rehidden_cells import ColumnCheck

__all__ = [
    "BrokenConstraint",
    "ColumnCheck",
    "Constraint",
    "Imputer",
    "OutlierDetector",
    "Pooled",
    "Reason",
    "benjamini_hochberg",
    "check_constraints",
    "pool",
]
