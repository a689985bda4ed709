"""Jobs on tables, and on models of them: odd rows with p-values and the columns to blame, holes filled in with
intervals that hold, made-up rows with a report, and what is wrong with a model."""

from vaekit.jobs.any_artifact import load
from vaekit.jobs.comparison.synthetic_figures import ColumnReport, Figure, SyntheticReport
from vaekit.jobs.comparison.synthetic_report import report_synthetic
from vaekit.jobs.constraints.constraints import BrokenConstraint, Constraint, check_constraints
from vaekit.jobs.detection.blame import Reason
from vaekit.jobs.detection.conformal import benjamini_hochberg
from vaekit.jobs.detection.outlier_detector import OutlierDetector
from vaekit.jobs.diagnosis.diagnosis import Diagnosis, Finding
from vaekit.jobs.diagnosis.doctor import diagnose
from vaekit.jobs.imputation.imputer import Imputer
from vaekit.jobs.imputation.pooling import Pooled, pool
from vaekit.jobs.imputation.rehidden_cells import ColumnCheck
from vaekit.jobs.synthesis.synthesizer import Synthesized, Synthesizer

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
    "load",
    "pool",
    "report_synthetic",
]
