r"""Likelihoods of numbers in [0, 1]: Bernoulli, and continuous Bernoulli.

.. math:: \text{bernoulli}: \log p(x \mid z) = \sum_i x_i l_i - \log(1 + e^{l_i})

with logits :math:`l_i` (Kingma and Welling, 2013, appendix C.1). For grey levels :math:`x_i \in (0, 1)` this
is the expected log-likelihood of pixels that are on with probability :math:`x_i`: the usual figure on MNIST,
comparable among models, but not the logarithm of a normalised probability of the grey levels. Normalised, it
is

.. math:: \text{continuous-bernoulli}: \log p(x \mid z) = \sum_i \eta_i x_i - A(\eta_i), \qquad
          A(\eta) = \log \int_0^1 e^{\eta x}\,dx = \log \frac{e^\eta - 1}\eta, \qquad x_i \in [0, 1]

Loaiza-Ganem and Cunningham (2019), "The continuous Bernoulli: fixing a pervasive error in variational
autoencoders", equations 6 to 8, in its natural parameter, the logit
:math:`\eta = \log \lambda / (1 - \lambda)`. The paper's normaliser is 0/0 at :math:`\lambda = 1/2`; here,
with :math:`y = \eta / 2`,

.. math:: A(\eta) = \frac\eta 2 + \log\frac{\sinh y}{y}, \qquad
          \log\frac{\sinh y}{y} = \frac{y^2}6 - \frac{y^4}{180} + \frac{y^6}{2835} - \ldots
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent

from vaekit.contracts import Likelihood, LikelihoodTraits
from vaekit.distributions.base import ElementwiseDistribution, SampleShape
from vaekit.likelihoods.conventions import InDataUnits, require_no_jacobian
from vaekit.likelihoods.support import Support

__all__ = ["BernoulliLikelihood", "ContinuousBernoulli", "ContinuousBernoulliLikelihood"]


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

    traits = LikelihoodTraits(measure="unit", scaling="unit", column=True, takes_missing=True)
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
        """Return the features of the means of data ``(n, *event)``, for every latent alike."""
        mean = (x.sum(0) + 0.5) / (len(x) + 1)
        return mean.logit()

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *event_shape)``, the logits, into a distribution over the event."""
        bernoulli = Bernoulli(logits=features, validate_args=False)
        return IndependentBernoullis(bernoulli, len(self.event_shape), validate_args=False)


class IndependentBernoullis(Independent[Bernoulli]):
    r"""Bernoullis of one event, whose log-probabilities take one logarithm for several in compiled evaluations.

    .. math:: \log p(x) = \sum_i \left[x_i l_i - \max(l_i, 0)\right]
              - \sum_{\text{groups } g} \log \prod_{i \in g} \left(1 + e^{-|l_i|}\right)

    Factors are between 1 and 2, so that the product of a group of up to 32 neither overflows nor loses digits.
    Compiled, this takes less than half of the time of a logarithm each. Called operation by operation it would take
    longer, and so would its derivative: both are left to the usual form.

    Examples
    --------
    >>> bernoullis = IndependentBernoullis(Bernoulli(logits=torch.zeros(4)), 1)
    >>> bernoullis.log_prob(torch.ones(4)).exp().item()
    0.0625
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate ``(..., *event)``, ``(...)`` in nats."""
        is_compiled = torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting()
        group = _largest_group(self.event_shape.numel())
        if not is_compiled or torch.is_grad_enabled() or group == 1:
            return super().log_prob(value)
        logits: Tensor = self.base_dist.logits
        dimensions = len(self.event_shape)
        linear = (value * logits - logits.clamp_min(0)).flatten(-dimensions).sum(-1)
        factors = 1 + (-logits.abs()).exp()
        products = factors.reshape(*factors.shape[:-dimensions], -1, group).prod(-1)
        return linear - products.log().sum(-1)


def _largest_group(numbers: int) -> int:
    """Return the largest divisor of a number of factors up to 32.

    >>> _largest_group(784), _largest_group(30), _largest_group(37)
    (28, 30, 1)
    """
    return next(size for size in range(min(_MOST_FACTORS, max(numbers, 1)), 0, -1) if numbers % size == 0)


_MOST_FACTORS = 32
_SCALAR = torch.Size()
_SMALL = (
    0.5  # |eta| below which series are used: the first omitted term is below 1e-14, of the variance 1e-10
)


class ContinuousBernoulliLikelihood(nn.Module, Likelihood):
    """``continuous-bernoulli``: numbers in [0, 1] under a true density.

    Parameters
    ----------
    event_shape
        The shape of :math:`x`.
    log_jacobian
        Logarithm of the Jacobian of the data's scaling, in nats (8-bit images are divided by 255).

    Examples
    --------
    With logits of zero it is the uniform density:

    >>> likelihood = ContinuousBernoulliLikelihood((2,))
    >>> likelihood(torch.zeros(5, 2)).log_prob(torch.rand(5, 2))[0]
    tensor(0.)
    """

    traits = LikelihoodTraits(measure="density", scaling="unit", takes_missing=True)
    support = Support(
        "numbers in [0, 1]",
        0.0,
        1.0,
        "scale them to [0, 1] if they are grey levels, or choose another likelihood",
    )
    encoder_input = None

    def __init__(self, event_shape: Sequence[int], log_jacobian: float = 0.0) -> None:
        super().__init__()
        self.event_shape = self.feature_shape = tuple(event_shape)
        self.log_jacobian = log_jacobian

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *event_shape)``, the logits, into a distribution over the event."""
        inner = ContinuousBernoulli(features)
        independent = Independent(inner, len(self.event_shape), validate_args=False)
        return InDataUnits(independent, self.log_jacobian) if self.log_jacobian else independent


class ContinuousBernoulli(ElementwiseDistribution):
    r"""Independent continuous Bernoullis from logits.

    PyTorch's own class clamps the probability, which makes the normaliser of logits beyond 16 wrong (in
    float32).

    Parameters
    ----------
    logits
        :math:`\eta`, any shape and size.

    Examples
    --------
    >>> ContinuousBernoulli(torch.tensor([-1000.0, 0.0, 1e-3])).mean
    tensor([0.0010, 0.5000, 0.5001])
    """

    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Evaluate the log-density at ``value`` in [0, 1], in nats."""
        eta = self.logits
        near, far = self._near_and_far()
        square = (near / 2).square()
        series = _polynomial(square, 0, 1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775)
        normaliser = torch.log(-torch.expm1(-far)) - far.log()
        centred = near * (value - 0.5) - series
        slope = eta * torch.where(eta > 0, value - 1, value)  # eta x - max(eta, 0)
        return torch.where(eta.abs() < _SMALL, centred, slope - normaliser)

    def rsample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Draw by inversion of the distribution function, with gradients."""
        shape = self._extended_shape(sample_shape)
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        size = self.logits.abs().clamp(min=1e-6)  # below, it is uniform to the last digit
        low = (-torch.log1p(uniform * torch.expm1(-size)) / size).clamp(0, 1)
        return torch.where(self.logits > 0, 1 - low, low)

    @property
    def mean(self) -> Tensor:
        """The mean, :math:`A'(\\eta)`."""
        near, far = self._near_and_far()
        half, square = near / 2, (near / 2).square()
        series = 0.5 + 0.5 * half * _polynomial(square, 1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555)
        low = 1 / far - torch.exp(-far) / -torch.expm1(-far)
        return torch.where(self.logits.abs() < _SMALL, series, torch.where(self.logits > 0, 1 - low, low))

    @property
    def variance(self) -> Tensor:
        """The variance, :math:`A''(\\eta)`."""
        near, far = self._near_and_far()
        square = (near / 2).square()
        series = 0.25 * _polynomial(square, 1 / 3, -1 / 15, 2 / 189, -1 / 675, 2 / 10395)
        exact = far.square().reciprocal() - torch.exp(-far) / torch.expm1(-far).square()
        return torch.where(self.logits.abs() < _SMALL, series, exact)

    def _near_and_far(self) -> tuple[Tensor, Tensor]:
        """Return the logits where series are used, and their sizes elsewhere; each has a harmless value in between."""
        is_near = self.logits.abs() < _SMALL
        ones = torch.ones_like(self.logits)
        return torch.where(is_near, self.logits, 0 * ones), torch.where(is_near, ones, self.logits.abs())


def _polynomial(x: Tensor, *coefficients: float) -> Tensor:
    """Evaluate a polynomial by Horner's scheme, the constant coefficient first."""
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total
