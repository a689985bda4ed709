r"""The evidence lower bound.

.. math:: \mathcal L(x) = \mathbb E_{q(z \mid x)} \log p(x \mid z) - \mathrm{KL}(q(z \mid x) \,\|\, p(z))
          \le \log p(x)

Kingma and Welling (2013), equation 3, estimated with one reparameterised draw (equation 7: the KL in closed
form wherever there is one). With a weight on the KL, :math:`\beta`-VAE (Higgins et al., 2017, equation 4).
"""

from torch import Tensor

from vaekit.errors import UsageError
from vaekit.objectives.kl import divergence
from vaekit.objectives.result import ObjectiveResult
from vaekit.vae import VAE

__all__ = ["Elbo"]


class Elbo:
    """``elbo``: reconstruction minus KL, one draw an example.

    Parameters
    ----------
    beta
        Weight of the KL in what is differentiated. The bound that is reported always has weight 1.

    Raises
    ------
    UsageError
        If ``beta`` is negative or not finite.

    Examples
    --------
    >>> Elbo(beta=-1.0)
    Traceback (most recent call last):
    vaekit.errors.UsageError: elbo: beta=-1 would reward ignoring the prior; give a number of at least 0 ...
    """

    def __init__(self, *, beta: float = 1.0) -> None:
        if not 0 <= beta < float("inf"):
            raise UsageError(
                f"elbo: beta={beta:g} would reward ignoring the prior; give a number of at least 0 (1 is the "
                "evidence lower bound)"
            )
        self.beta = beta

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q = model.encode(x, c)
        z = q.rsample()
        reconstruction = model.decode(z, c).log_prob(x)
        kl, per_dimension = divergence(q, model.prior(c), z)
        bound = reconstruction - kl
        surrogate = bound if self.beta == 1 else reconstruction - self.beta * kl
        return ObjectiveResult(bound, surrogate, reconstruction, kl, per_dimension)
