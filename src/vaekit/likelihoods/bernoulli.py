r"""The Bernoulli likelihood from logits, :math:`\log p(x \mid z) = \sum_i x_i l_i - \log(1 + e^{l_i})`.

Kingma and Welling (2013), appendix C.1. On grey levels :math:`x_i \in (0, 1)` this is the expected
log-likelihood of pixels that are switched on with probability :math:`x_i`: the community's habit on MNIST,
comparable among models, but not the logarithm of a normalised probability of the grey levels.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.likelihoods.measure import require_no_jacobian
from vaekit.likelihoods.support import Support

__all__ = ["BernoulliLikelihood"]


class BernoulliLikelihood(nn.Module, Likelihood):
    """``bernoulli``: zeros and ones, or numbers between them taken as probabilities.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Must be 0: a probability has no units.

    Examples
    --------
    >>> import torch
    >>> likelihood = BernoulliLikelihood((2,))
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.ones(5, 2))[0]
    tensor(-1.3863)
    """

    traits = LikelihoodTraits(measure="unit", scaling="unit", column=True)
    support = Support(
        "zeros and ones, or grey levels in [0, 1] taken as probabilities",
        0.0,
        1.0,
        "scale them to [0, 1] if they are grey levels, or choose another likelihood",
    )
    encoder_input = None

    def __init__(self, event_shape: Sequence[int], log_jacobian: float = 0.0) -> None:
        super().__init__()
        require_no_jacobian("bernoulli", log_jacobian)
        self.event_shape = self.feature_shape = tuple(event_shape)

    def marginal_features(self, x: Tensor) -> Tensor:
        """Give the features, the same for every latent, with the means of data ``(n, *event)``."""
        mean = (x.sum(0) + 0.5) / (len(x) + 1)
        return mean.logit()

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *event_shape)``, the logits, into a distribution over the event."""
        bernoulli = Bernoulli(logits=features, validate_args=False)
        return Independent(bernoulli, len(self.event_shape), validate_args=False)
