"""The whole way from data to a proven model and back to files, for Python and the command line alike.

:func:`fit_and_prove` fits a model, evaluates it on held-out rows beside baselines, and leaves one artifact with a
report. The other functions take an artifact to data: evaluate it, fit another prior to it, write its report again, or
write a file of what it makes of each row. All of them read paths, names of data sets, or data in memory, and return
frozen results; the command line parses, calls one of them, and prints.
"""

from vaekit.application.detecting import DetectionResult, detect_to_file
from vaekit.application.diagnosing import ArtifactDiagnosis, diagnose_artifact, write_diagnosis
from vaekit.application.exploring import (
    OpenedExploration,
    WrittenExploration,
    explore_artifact,
    write_exploration,
)
from vaekit.application.fit_and_prove import FitResult, fit_and_prove
from vaekit.application.fit_steps import Stage
from vaekit.application.imputing import ImputationResult, impute_to_file
from vaekit.application.law_checks import CheckedModel, check_own_parts, check_python_file
from vaekit.application.proving import (
    EvaluationResult,
    PriorResult,
    ReportResult,
    evaluate_artifact,
    fit_prior_to_artifact,
    write_report,
)
from vaekit.application.row_files import (
    WrittenRows,
    WrittenScores,
    classify_to_file,
    decode_to_file,
    encode_to_file,
    reconstruct_to_file,
    sample_to_file,
    score_to_file,
)
from vaekit.application.sources import Opened, open_artifact
from vaekit.application.synthesizing import SynthesisResult, synthesize_to_file

__all__ = [
    "ArtifactDiagnosis",
    "CheckedModel",
    "DetectionResult",
    "EvaluationResult",
    "FitResult",
    "ImputationResult",
    "Opened",
    "OpenedExploration",
    "PriorResult",
    "ReportResult",
    "Stage",
    "SynthesisResult",
    "WrittenExploration",
    "WrittenRows",
    "WrittenScores",
    "check_own_parts",
    "check_python_file",
    "classify_to_file",
    "decode_to_file",
    "detect_to_file",
    "diagnose_artifact",
    "encode_to_file",
    "evaluate_artifact",
    "explore_artifact",
    "fit_and_prove",
    "fit_prior_to_artifact",
    "impute_to_file",
    "open_artifact",
    "reconstruct_to_file",
    "sample_to_file",
    "score_to_file",
    "synthesize_to_file",
    "write_diagnosis",
    "write_exploration",
    "write_report",
]
