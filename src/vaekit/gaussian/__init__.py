"""Gaussians and the divergences between them, in nats. Stands alone: torch and NumPy, nothing of vaekit."""

from vaekit.gaussian.distribution import Gaussian
from vaekit.gaussian.kl import kl_divergence
from vaekit.gaussian.normal import normal_kl

__all__ = ["Gaussian", "kl_divergence", "normal_kl"]
