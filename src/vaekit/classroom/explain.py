r"""Find the model that a loss ``reconstruction + w * KL`` trains.

A variational autoencoder minimises the negative ELBO, :math:`-E_q[\log p(x|z)] + KL`. With any other weight the loss
is the negative ELBO of *another* likelihood, times a constant. For D inputs and a squared error with weight c per
input,

.. math:: c \sum_i (x_i - \hat x_i)^2 + w\,KL
          = w \left( \frac{1}{2 \sigma^2} \sum_i (x_i - \hat x_i)^2 + KL \right),
          \qquad \sigma^2 = \frac{w}{2 c},

which is a Gaussian decoder of variance :math:`\sigma^2`. For the mean squared error, c = 1/D, the variance is
:math:`w D / 2`. An absolute error is in the same way a Laplace decoder of scale w/c. A cross-entropy has no scale that
could absorb the weight, so the model is a beta-VAE (Higgins et al. 2017) with :math:`\beta = w / c`.

When is it optimal to ignore z? Let z explain the part :math:`m(z) = E[x|z]` of the data. It gains at most
:math:`E|m(z) - E x|^2 / (2 \sigma^2)` and costs the information I(x; z). For inputs in [0, 1], by Pinsker's
inequality, :math:`|m(z)_i - E x_i|` is at most the total variation between p(x|z) and p(x), so that
:math:`E|m(z) - E x|^2 \le D\,I / 2`. For :math:`\sigma^2 \ge D/4`, therefore, no code is worth its cost, whatever the
data and the networks. With the mean squared error this holds from w = 1/2 on.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vaekit.errors import UsageError

__all__ = ["RECONSTRUCTION_LOSSES", "LossExplanation", "explain_loss"]

Family = Literal["Gaussian", "Laplace", "Bernoulli"]

RECONSTRUCTION_LOSSES: dict[
    str, tuple[Family, str | None]
] = {  # name: family, reduction where the name says it
    "squared-error": ("Gaussian", None),
    "mean-squared-error": ("Gaussian", "mean"),
    "sum-squared-error": ("Gaussian", "sum"),
    "absolute-error": ("Laplace", None),
    "mean-absolute-error": ("Laplace", "mean"),
    "sum-absolute-error": ("Laplace", "sum"),
    "binary-cross-entropy": ("Bernoulli", None),
    "mean-binary-cross-entropy": ("Bernoulli", "mean"),
    "sum-binary-cross-entropy": ("Bernoulli", "sum"),
}
LARGEST_VARIANCE = 0.25  # of a variable in [0, 1]


@dataclass(frozen=True)
class LossExplanation:
    """The model that a loss trains.

    Parameters
    ----------
    reconstruction, reduction, kl_weight, dimensions
        The loss that was given; the reduction is over the D inputs of one example.
    family
        The likelihood: "Gaussian", "Laplace" or "Bernoulli".
    beta
        The weight of the KL in the equivalent beta-VAE. It is 1 for Gaussian and Laplace, whose noise absorbs the
        weight.
    variance, standard_deviation
        Of the decoder's noise in each input; None for Bernoulli.
    unit_noise_beta
        For Gaussian and Laplace, the beta of the same loss if the noise has variance (Laplace: scale) 1.
    elbo_scale, elbo_offset
        ELBO = elbo_scale * loss + elbo_offset, in nats per example, where beta is 1; else None.
    collapse
        Whether ignoring z is optimal for inputs in [0, 1]: "certain"; "possible" where the noise exceeds the
        largest variance of an input; or "no" where it does not.
    warnings
        Warnings, as sentences.
    """

    reconstruction: str
    reduction: str
    kl_weight: float
    dimensions: int
    family: Family
    beta: float
    variance: float | None
    standard_deviation: float | None
    unit_noise_beta: float | None
    elbo_scale: float | None
    elbo_offset: float | None
    collapse: Literal["certain", "possible", "no"]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that can be written as JSON."""
        return {**asdict(self), "warnings": list(self.warnings)}

    def __str__(self) -> str:
        loss = f"{self.reduction} over {self.dimensions} inputs of the {_loss_name(self.family)}"
        lines = [f"{loss} + {self.kl_weight:g} * KL"]
        if self.variance is None:
            lines.append(f"is a beta-VAE with a Bernoulli decoder and beta = {self.beta:.6g}")
        else:
            noise = f"standard deviation {self.standard_deviation:.6g} (variance {self.variance:.6g})"
            lines.append(f"is a VAE, beta = 1, with a {self.family} decoder whose noise has {noise}")
            unit = "variance" if self.family == "Gaussian" else "scale"
            lines.append(f"or, with noise of {unit} 1, a beta-VAE with beta = {self.unit_noise_beta:.6g}")
        if self.elbo_scale is not None and self.elbo_offset is not None:
            sign = "-" if self.elbo_offset < 0 else "+"
            offset = f"{sign} {abs(self.elbo_offset):.6g}"
            lines.append(f"ELBO = {self.elbo_scale:.6g} * loss {offset} nats per example")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


def explain_loss(
    reconstruction: str, reduction: str | None = None, *, kl_weight: float = 1.0, dimensions: int
) -> LossExplanation:
    """Find the VAE that a loss ``reconstruction + kl_weight * KL`` trains, with the KL in nats per example.

    Parameters
    ----------
    reconstruction
        A key of ``RECONSTRUCTION_LOSSES``, such as "mean-squared-error" or "binary-cross-entropy".
    reduction
        "mean" or "sum" over the inputs of one example; required where the name does not say it.
    kl_weight
        The weight of the KL, not negative.
    dimensions
        The number of inputs D: 12288 for images of 64 x 64 x 3.

    Raises
    ------
    UsageError
        If the name, the reduction, the weight or the number of inputs is not valid.

    Examples
    --------
    >>> print(explain_loss("mean-squared-error", kl_weight=0.00025, dimensions=12288))
    mean over 12288 inputs of the squared error + 0.00025 * KL
    is a VAE, beta = 1, with a Gaussian decoder whose noise has standard deviation 1.23935 (variance 1.536)
    or, with noise of variance 1, a beta-VAE with beta = 1.536
    ELBO = -4000 * loss - 13928.8 nats per example
    warning: the noise has variance 1.536, and an input in [0, 1] has at most 0.25: ...
    """
    if reconstruction not in RECONSTRUCTION_LOSSES:
        raise UsageError(f"unknown loss {reconstruction!r}; one of {', '.join(RECONSTRUCTION_LOSSES)}")
    family, said = RECONSTRUCTION_LOSSES[reconstruction]
    if reduction not in (None, "mean", "sum"):
        raise UsageError(
            f"the reduction over the inputs of one example is 'mean' or 'sum'; got {reduction!r}"
        )
    if said is not None and reduction not in (None, said):
        raise UsageError(f"{reconstruction} is a {said}, which contradicts the reduction {reduction!r}")
    reduction = said or reduction
    if reduction is None:
        raise UsageError(f"is the {reconstruction} a mean or a sum over the inputs? give the reduction")
    if type(dimensions) is not int or dimensions < 1:
        raise UsageError(f"dimensions is a number of inputs, 1 or more; got {dimensions!r}")
    if not (math.isfinite(kl_weight) and kl_weight >= 0):
        raise UsageError(f"the weight of the KL is a finite number, 0 or more; got {kl_weight}")
    per_input = 1.0 if reduction == "sum" else 1.0 / dimensions
    return _explain(reconstruction, reduction, family, float(kl_weight), dimensions, kl_weight / per_input)


def _explain(
    reconstruction: str, reduction: str, family: Family, weight: float, dimensions: int, ratio: float
) -> LossExplanation:
    """Explain a loss; ``ratio`` is the weight of the KL relative to a plain sum over the inputs."""
    scale = offset = variance = unit = None
    beta = 1.0
    if family == "Gaussian":
        variance = unit = ratio / 2
        if variance:
            offset = -dimensions / 2 * math.log(2 * math.pi * variance)
    elif family == "Laplace":
        unit, variance = ratio, 2 * ratio**2
        if ratio:
            offset = -dimensions * math.log(2 * ratio)
    else:
        beta = ratio
        offset = 0.0 if math.isclose(beta, 1.0) else None
    if offset is not None:
        scale = -1 / weight if family != "Bernoulli" else -ratio / weight
    collapse = _collapse(family, beta, variance, dimensions)
    deviation = None if variance is None else math.sqrt(variance)
    warnings = tuple(_warnings(family, beta, variance, dimensions, collapse, weight))
    return LossExplanation(
        reconstruction, reduction, weight, dimensions, family, beta, variance, deviation, unit, scale, offset,
        collapse, warnings,
    )  # fmt: skip


def _collapse(
    family: Family, beta: float, variance: float | None, dimensions: int
) -> Literal["certain", "possible", "no"]:
    if family == "Gaussian" and variance is not None:
        if variance >= dimensions * LARGEST_VARIANCE:
            return "certain"
        return "possible" if variance > LARGEST_VARIANCE else "no"
    if family == "Bernoulli":
        # The gain is at most sum_i I(x_i; z) <= D I(x; z), the cost beta I(x; z).
        return "certain" if beta >= dimensions and dimensions > 1 else "possible" if beta > 1 else "no"
    return "possible" if variance is not None and variance > LARGEST_VARIANCE else "no"


def _warnings(
    family: Family, beta: float, variance: float | None, dimensions: int, collapse: str, weight: float
) -> list[str]:
    if weight == 0:
        return ["without the KL this is a plain autoencoder: nothing keeps its codes near the prior"]
    if family == "Bernoulli":
        if collapse == "certain":
            return [
                f"beta is {beta:.6g}, and no code can save more than {dimensions} times its own cost: the "
                "correct optimum is to ignore z (posterior collapse is not a fault of the training)"
            ]
        if not math.isclose(beta, 1.0):
            return [
                f"with beta = {beta:.6g} the loss is not a bound on log p(x): report the ELBO with beta = 1"
            ]
        return []
    if collapse == "no" or variance is None:
        return []
    start = f"the noise has variance {variance:.6g}, and an input in [0, 1] has at most {LARGEST_VARIANCE}"
    if collapse == "certain":
        return [
            f"{start}, all {dimensions} together {dimensions * LARGEST_VARIANCE:.6g}: the correct "
            "optimum for any such data is to ignore z (posterior collapse is not a fault of the training); lower the "
            "weight of the KL"
        ]
    return [
        f"{start}: a direction in which the data vary less counts as noise (exactly so for a linear decoder), and "
        "for inputs that do not vary together the correct optimum is to ignore z; lower the weight of the KL, or "
        "learn the variance"
    ]


def _loss_name(family: Family) -> str:
    names = {"Gaussian": "squared error", "Laplace": "absolute error", "Bernoulli": "binary cross-entropy"}
    return names[family]
