"""Conformance: laws that hold for every variational autoencoder, ours or anybody's, and tests that tell.

Given the three callables of any torch VAE, ``encode(x) -> q(z | x)``, ``prior() -> p(z)`` and ``decode(z) -> p(x |
z)``, each returning a distribution with ``log_prob`` and ``sample``, :func:`check` holds them to the laws and says of
each whether it holds, is broken (and how it looks), or could not be looked at. ``vaekit conformance`` is the same on
the command line.
"""

from vaekit.conformance.callables import ThreeCallables
from vaekit.conformance.check import check, check_sentence, summarise
from vaekit.conformance.finding import LawResult
from vaekit.conformance.linear_gaussian import LinearGaussian, check_exact

__all__ = [
    "LawResult",
    "LinearGaussian",
    "ThreeCallables",
    "check",
    "check_exact",
    "check_sentence",
    "summarise",
]

#: The former name of :class:`LawResult`, kept for programs that import it.
Finding = LawResult
