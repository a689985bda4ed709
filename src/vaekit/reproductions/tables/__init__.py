"""Experiments on tables: detection, imputation and synthesis, as ``vaekit reproduce`` runs them.

Each file holds the kernel of one measurement (how data are cut, and how vaekit's side is measured), which the scripts
in ``benchmarks/tables`` share, and declares it as a :class:`TableExperiment`. The scripts add rivals and seeds.
"""

from vaekit.reproductions.tables.false_alarm_rates import FALSE_ALARMS
from vaekit.reproductions.tables.ranked_outliers import OUTLIERS
from vaekit.reproductions.tables.table_experiment import TableExperiment
from vaekit.reproductions.tables.table_run import run_steps

__all__ = ["TABLES", "TableExperiment", "run_steps"]

#: All experiments on tables.
TABLES: tuple[TableExperiment, ...] = (OUTLIERS, FALSE_ALARMS)
