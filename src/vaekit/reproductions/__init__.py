"""Reproductions: published experiments, each by one command, beside the published numbers.

A :class:`Protocol` states everything that makes such numbers comparable: how the images are binarised, how many train,
the sentence, the optimiser and its schedule, the number of importance samples. :func:`reproduce` runs one, and
returns what ``vaekit reproduce NAME`` prints and writes; results that were measured stand in
``benchmarks/reproductions``.
"""

from vaekit.reproductions.catalogue import PROTOCOLS, find_protocol
from vaekit.reproductions.machine import describe
from vaekit.reproductions.protocol import Figure, Protocol
from vaekit.reproductions.run import reproduce

__all__ = ["PROTOCOLS", "Figure", "Protocol", "describe", "find_protocol", "reproduce"]
