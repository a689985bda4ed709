"""Experiments on tables: detection, imputation and synthesis, as ``vaekit reproduce`` runs them.

Each file holds the kernel of one measurement (how data are cut, and how vaekit's side is measured), which the scripts
in ``benchmarks/tables`` share, and declares it as a :class:`TableExperiment`. The scripts add rivals and seeds.
"""

from vaekit.reproductions.tables.changed_cells import REASONS
from vaekit.reproductions.tables.false_alarm_rates import FALSE_ALARMS
from vaekit.reproductions.tables.filled_holes import IMPUTATION, NOT_AT_RANDOM
from vaekit.reproductions.tables.hidden_categories import CATEGORIES
from vaekit.reproductions.tables.pooled_regressions import POOLING
from vaekit.reproductions.tables.ranked_outliers import OUTLIERS
from vaekit.reproductions.tables.table_experiment import TableExperiment

__all__ = ["TABLES", "TableExperiment"]

#: All experiments on tables.
TABLES: tuple[TableExperiment, ...] = (
    OUTLIERS,
    FALSE_ALARMS,
    REASONS,
    IMPUTATION,
    NOT_AT_RANDOM,
    CATEGORIES,
    POOLING,
)
