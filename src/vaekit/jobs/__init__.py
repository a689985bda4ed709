"""Jobs on tables, and on models of them: odd rows with p-values and the columns to blame, holes filled in with
intervals that hold, made-up rows with a report, and what is wrong with a model."""

from vaekit.jobs.blame import Reason
from vaekit.jobs.conformal import benjamini_hochberg
from vaekit.jobs.constraints import BrokenConstraint, Constraint, check_constraints
from vaekit.jobs.diagnosis import Diagnosis, Finding
from vaekit.jobs.doctor import diagnose
from vaekit.jobs.imputer import Imputer
from vaekit.jobs.outlier_detector import OutlierDetector
from vaekit.jobs.pooling import Pooled, pool
from vaekit.jobs.rehidden_cells import ColumnCheck
from vaekit.jobs.synthesizer import Synthesized, Synthesizer
from vaekit.jobs.synthetic_figures import ColumnReport, Figure, SyntheticReport
from vaekit.jobs.synthetic_report import report_synthetic

__all__ = [
    "BrokenConstraint",
    "ColumnCheck",
    "ColumnReport",
    "Constraint",
    "Diagnosis",
    "Figure",
    "Finding",
    "Imputer",
    "OutlierDetector",
    "Pooled",
    "Reason",
    "Synthesized",
    "Synthesizer",
    "SyntheticReport",
    "benjamini_hochberg",
    "check_constraints",
    "diagnose",
    "pool",
    "report_synthetic",
]
