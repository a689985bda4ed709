"""The model whose every answer is known: the product's own, which users' models are held to as well."""

from vaekit.conformance.linear_gaussian import ExactPosterior, LinearGaussian, Unlisted

__all__ = ["ExactPosterior", "LinearGaussian", "Unlisted"]
