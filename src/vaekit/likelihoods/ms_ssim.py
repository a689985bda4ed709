r"""Multi-scale structural similarity in place of a likelihood: for training, without a log-likelihood.

.. math:: s(x, y) = l_M^{\alpha_M} \prod_{j=1}^M c_j^{\alpha_j}, \qquad
          l = \frac{2 \mu_x \mu_y + C_1}{\mu_x^2 + \mu_y^2 + C_1}, \quad
          c = \frac{2 \sigma_{xy} + C_2}{\sigma_x^2 + \sigma_y^2 + C_2}

Wang, Simoncelli and Bovik (2003), "Multi-scale structural similarity for image quality assessment", equation
7, with contrast and structure in one factor (:math:`\beta_j = \gamma_j`, their section 3.2) and its weights;
Snell et al. (2017), "Learning to generate images with perceptual similarity metrics", train autoencoders with
it. Means, variances and covariances are under a Gaussian window of standard deviation 1.5; scale
:math:`j + 1` is scale :math:`j` averaged over squares of two by two; :math:`l` and :math:`c` are averaged
over the places of the window and the channels.

A product of powers is not defined where a scale's :math:`c_j` is negative (images that are each other's
negatives). Below :math:`\epsilon = 0.001` it is therefore continued by
:math:`\epsilon^2 / (2 \epsilon - c_j)`, which has the same value and slope at :math:`\epsilon`, and is
positive and increasing: more similar images have a higher score there too.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional

from vaekit.contracts import DistributionTraits, Likelihood, LikelihoodTraits
from vaekit.distributions.base import PlainDistribution, SampleShape
from vaekit.errors import UsageError
from vaekit.likelihoods.support import Support

__all__ = [
    "MultiScaleSimilarity",
    "MultiScaleSimilarityLikelihood",
    "multi_scale_similarity",
    "number_of_scales",
]

_SCALAR = torch.Size()
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_C1, _C2 = 0.01**2, 0.03**2  # of images in [0, 1]
_WIDTH, _DEVIATION = 11, 1.5  # of the window, in pixels
_COARSEST = 4  # pixels on the shorter side of the coarsest scale, at least
_SMALL = 1e-3  # of contrast and structure; below it they are continued by a hyperbola


class MultiScaleSimilarityLikelihood(nn.Module, Likelihood):
    r"""``ms-ssim``: images in [0, 1], scored by their similarity to the reconstruction, which is not a probability.

    In training :math:`-w (1 - s(x, y))` takes the place of :math:`\log p(x \mid z)`, for the image :math:`y`
    of the decoder's logits. It is not the logarithm of a density, so there is no :math:`\log p(x)`: bounds
    made of it can compare models of the same weight, and evaluation refuses to report them as a
    log-likelihood.

    There are at most five scales, and as many as leave 4 pixels on the shorter side of the coarsest (8 x 8:
    two, 28 x 28: three, from 64 x 64: five), with the first of the published weights, divided by their sum.
    The window is 11 pixels wide, or the largest odd number of pixels that fits a scale.

    Parameters
    ----------
    event_shape
        ``(channels, height, width)``, at least 3 pixels each way.
    log_jacobian
        Must be 0: a similarity has no units.
    weight
        :math:`w`: the cost of an image without any similarity, in nats, weighed against the KL.

    Raises
    ------
    UsageError
        For examples that are not images, and a weight that is not positive.

    Examples
    --------
    >>> likelihood = MultiScaleSimilarityLikelihood((1, 8, 8))
    >>> features = torch.randn(5, 1, 8, 8)
    >>> likelihood(features).log_prob(features.sigmoid()).abs().max() < 1e-3
    tensor(True)
    """

    traits = LikelihoodTraits(measure="none", scaling="unit")
    support = Support(
        "images of grey levels in [0, 1]", 0.0, 1.0, "scale them to [0, 1], or choose another likelihood"
    )
    encoder_input = None

    def __init__(
        self, event_shape: Sequence[int], log_jacobian: float = 0.0, *, weight: float = 100.0
    ) -> None:
        super().__init__()
        if log_jacobian:
            raise ValueError(f"ms-ssim: log_jacobian={log_jacobian:g}, but a similarity has no units; give 0")
        if len(event_shape) != 3 or min(event_shape[1:]) < 3:
            raise UsageError(
                f"likelihood ms-ssim compares images of at least 3 by 3 pixels, (channels, height, width), and these "
                f"examples have the shape {tuple(event_shape)}; use bernoulli or gaussian for them"
            )
        if not 0 < weight < float("inf"):
            raise UsageError(f"ms-ssim: weight={weight:g}; give a positive number, such as 100")
        self.event_shape = self.feature_shape = tuple(event_shape)
        self.weight = weight

    def forward(self, features: Tensor) -> Distribution:
        """Turn features ``(..., *event_shape)``, the logits, into a distribution that scores images by similarity."""
        return MultiScaleSimilarity(features.sigmoid(), self.weight)


class MultiScaleSimilarity(PlainDistribution):
    """One image, and a score of the similarity of others: it has draws, but no density.

    Parameters
    ----------
    image
        ``(..., channels, height, width)`` in [0, 1].
    weight
        The cost of an image without any similarity.

    Examples
    --------
    >>> MultiScaleSimilarity(torch.zeros(1, 8, 8), 100.0).log_prob(torch.zeros(5, 1, 8, 8))
    tensor([0., 0., 0., 0., 0.])
    """

    traits = DistributionTraits(has_density=False)

    def __init__(self, image: Tensor, weight: float) -> None:
        self.image, self.weight = image, weight
        super().__init__(image.shape[:-3], image.shape[-3:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Score images ``(..., *event)``: :math:`-w (1 - s)`, which is not the logarithm of a probability."""
        return self.weight * (multi_scale_similarity(value, self.image) - 1)

    def sample(self, sample_shape: SampleShape = _SCALAR) -> Tensor:
        """Return the image itself: a similarity does not describe the noise around it."""
        return self.image.detach().expand(self._extended_shape(sample_shape))

    @property
    def mean(self) -> Tensor:
        """The image."""
        return self.image

    @property
    def variance(self) -> Tensor:
        """The variance: zero."""
        return torch.zeros_like(self.image)


def number_of_scales(height: int, width: int) -> int:
    """Return the number of scales of an image: one to five, the coarsest of at least 4 pixels where there are several.

    Examples
    --------
    >>> [number_of_scales(side, side) for side in (3, 8, 28, 32, 64, 512)]
    [1, 2, 3, 4, 5, 5]
    """
    scales, side = 1, min(height, width) // 2
    while scales < len(_WEIGHTS) and side >= _COARSEST:
        scales, side = scales + 1, side // 2
    return scales


def multi_scale_similarity(x: Tensor, y: Tensor) -> Tensor:
    r"""Return the similarity of images: 1 where they are equal, near 0 where they have nothing in common.

    Parameters
    ----------
    x, y
        ``(..., channels, height, width)`` in [0, 1], batches that broadcast.

    Returns
    -------
    Tensor
        :math:`s(x, y)`, ``(...)``.

    Examples
    --------
    >>> x = torch.rand(3, 1, 28, 28)
    >>> multi_scale_similarity(x, x)
    tensor([1., 1., 1.])
    """
    x, y = torch.broadcast_tensors(x, y)
    batch, size = x.shape[:-3], x.shape[-2:]
    x, y = (image.reshape(-1, 1, *size) for image in (x, y))  # channels one by one
    scales = number_of_scales(*size)
    weights = [weight / sum(_WEIGHTS[:scales]) for weight in _WEIGHTS[:scales]]
    total = torch.zeros(batch, dtype=x.dtype, device=x.device)
    for scale, weight in enumerate(weights):
        if scale:
            x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
        light, structure = (part.reshape(*batch, -1).mean(-1) for part in _compare(x, y))
        total = total + weight * _positive(structure).log()
        if scale == scales - 1:
            total = total + weight * light.log()
    return total.exp()


def _compare(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return luminance, and contrast with structure, at each position of the window: ``(n, 1, height, width)`` each."""
    width = min(_WIDTH, (min(x.shape[-2:]) - 1) // 2 * 2 + 1)
    place = torch.arange(width, dtype=x.dtype, device=x.device) - width // 2
    line = (-0.5 * (place / _DEVIATION).square()).exp()
    line = line / line.sum()
    window = torch.outer(line, line)[None, None]
    mean_x, mean_y = functional.conv2d(x, window), functional.conv2d(y, window)
    # Second moments about each image's own mean: about zero, rounding would hide small variances of bright images.
    x, y = x - x.mean((-2, -1), keepdim=True), y - y.mean((-2, -1), keepdim=True)
    about_x, about_y = functional.conv2d(x, window), functional.conv2d(y, window)
    # Where both are the same, numerator and denominator are the same to the last bit.
    variances = functional.conv2d(x.square() + y.square(), window) - (about_x.square() + about_y.square())
    covariance = functional.conv2d(x * y, window) - about_x * about_y
    light = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    return light, (2 * covariance + _C2) / (variances + _C2)


def _positive(value: Tensor) -> Tensor:
    """Return the value, continued below a small number by a hyperbola."""
    below = value < _SMALL
    small = torch.where(below, value, torch.zeros_like(value))
    return torch.where(below, _SMALL**2 / (2 * _SMALL - small), value)
