"""Conformance: laws that hold for every variational autoencoder, and a check that tests them on any model.

Given the three callables of any torch VAE, ``encode(x) -> q(z | x)``, ``prior() -> p(z)`` and ``decode(z) -> p(x |
z)``, each returning a distribution with ``log_prob`` and ``sample``, :func:`check` tests the laws on them and
says of each whether it holds, is broken (and what was seen), or could not be checked. ``vaekit conformance`` does the
same on the command line.
"""

from vaekit.conformance.finding import LawResult
from vaekit.conformance.linear_gaussian import LinearGaussian, check_exact
from vaekit.conformance.verification import ThreeCallables, check, check_sentence, summarise

__all__ = [
    "LawResult",
    "LinearGaussian",
    "ThreeCallables",
    "check",
    "check_exact",
    "check_sentence",
    "summarise",
]
