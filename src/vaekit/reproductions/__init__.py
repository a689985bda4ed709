"""Experiments that one command repeats, and compares with published numbers or earlier ones.

A :class:`Protocol` states everything that makes the numbers comparable: how the images are binarised, how many are used
for training, the parts of the model, the optimiser and its schedule, and the number of importance samples.
:class:`TableExperiment` states as much of a measurement on tables. :func:`reproduce` runs either and returns what
``vaekit reproduce NAME`` prints and writes. Results are in ``benchmarks/reproductions``.
"""

from vaekit.reproductions.catalogue import PROTOCOLS, all_experiments, find_experiment, find_protocol
from vaekit.reproductions.experiment import reproduce
from vaekit.reproductions.figures import KINDS, Figure
from vaekit.reproductions.protocol import Protocol
from vaekit.reproductions.sittings import describe
from vaekit.reproductions.tables import TABLES, TableExperiment

__all__ = [
    "KINDS",
    "PROTOCOLS",
    "TABLES",
    "Figure",
    "Protocol",
    "TableExperiment",
    "all_experiments",
    "describe",
    "find_experiment",
    "find_protocol",
    "reproduce",
]
