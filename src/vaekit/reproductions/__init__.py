"""Published experiments that one command repeats, and compares with the published numbers.

A :class:`Protocol` states everything that makes the numbers comparable: how the images are binarised, how many are used
for training, the parts of the model, the optimiser and its schedule, and the number of importance samples.
:func:`reproduce` runs a protocol and returns what ``vaekit reproduce NAME`` prints and writes. Results are in
``benchmarks/reproductions``.
"""

from vaekit.reproductions.catalogue import PROTOCOLS, find_protocol
from vaekit.reproductions.experiment import reproduce
from vaekit.reproductions.protocol import Figure, Protocol
from vaekit.reproductions.sittings import describe

__all__ = ["PROTOCOLS", "Figure", "Protocol", "describe", "find_protocol", "reproduce"]
