r"""Regularised autoencoders: a deterministic autoencoder with a smooth decoder (RAE).

.. math:: \log p(x \mid z) - \frac \beta 2 \lVert z \rVert^2 - \lambda R(\theta, z), \qquad z = f(x)

Ghosh et al. (2020), "From Variational to Deterministic Autoencoders", section 3. The decoder :math:`g`, with
parameters :math:`\theta`, is kept smooth by one of

.. math::

    \text{l2}       &: R = \lVert \theta \rVert^2 \\
    \text{gradient} &: R = \tfrac 12 \lVert \nabla g(z) \rVert_F^2
                        = \tfrac 12 \, \mathbb E_{v \sim \mathcal N(0, I)} \lVert v^\top \nabla g(z) \rVert^2 \\
    \text{spectral} &: \text{every weight of } g \text{ divided by its largest singular value}

where :math:`g(z)` is the mean of :math:`p(x \mid z)`. The expectation over :math:`v` is estimated without
bias by one draw per example, whose product takes one backward pass. Spectral normalisation (Miyato et al.,
2018, "Spectral Normalization for Generative Adversarial Networks", algorithm 1) changes the model, not the
loss. A prior with parameters learns the aggregate posterior by maximum likelihood without an effect on the
rest: it is the paper's density estimation after training (section 4), done along the way.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vaekit.contracts import Objective, ObjectiveResult, ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Annealed, Schedule, check_scalar
from vaekit.objectives.building_blocks import prior_fit, subtract_auxiliary_loss
from vaekit.vae import VAE

__all__ = ["RegularizedAutoencoder"]

Penalty = Literal["l2", "gradient", "spectral", "none"]


class RegularizedAutoencoder(Annealed, Objective):
    r"""``rae``: reconstruction, codes pulled to the origin, and a penalty on the decoder; for the posterior ``point``.

    There is no bound of :math:`\log p(x)`, since the posterior has no density: epochs are selected by the
    objective itself, with every schedule at its end.

    Parameters
    ----------
    penalty
        The penalty that keeps the decoder smooth: ``l2``, ``gradient``, ``spectral`` or ``none``.
    beta
        :math:`\beta`, the weight of the pull of the codes to the origin.
    weight
        :math:`\lambda`, in nats, the weight of ``l2`` or ``gradient``; the other two do not use it.

    Raises
    ------
    UsageError
        If a value is negative or not finite; when a model is checked, if its posterior is not deterministic.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> sentence = Sentence.parse(network="mlp:hidden=none", posterior="point", objective="rae:penalty=gradient")
    >>> model = build_vae(sentence, (3,), latent=2)
    >>> RegularizedAutoencoder(penalty="gradient")(model, torch.ones(4, 3)).surrogate.shape
    torch.Size([4])
    """

    traits = ObjectiveTraits(needs_density=False)
    beta: float
    weight: float

    def __init__(
        self,
        *,
        penalty: Penalty = "l2",
        beta: float | Schedule = 1.0,
        weight: float | Schedule = 0.001,
    ) -> None:
        check_scalar("rae", "beta", beta, meaning="1 is a standard Gaussian's; 0 leaves the codes free")
        check_scalar("rae", "weight", weight, meaning="nats; 0 is no penalty on the decoder")
        if penalty not in ("l2", "gradient", "spectral", "none"):
            raise UsageError(f"rae: penalty={penalty!r}; there are l2, gradient, spectral and none")
        super().__init__(beta=beta, weight=weight)
        self.penalty: Penalty = penalty
        self.traits = replace(self.traits, reaches_into_networks=penalty in ("l2", "gradient"))

    def check(self, model: VAE) -> None:
        """Refuse a posterior with noise: training would remove the noise."""
        if model.has_density:
            raise UsageError(
                "rae: takes a deterministic posterior, and this one is "
                f"{type(model.posterior_part).__name__}: its noise would be trained away, since nothing rewards "
                "it; use posterior=point, or objective=elbo"
            )

    def equip(self, model: VAE) -> None:
        """Normalise the decoder's weights by their largest singular values, for the penalty ``spectral``."""
        if self.penalty == "spectral":
            for layer in list(model.decoder.modules()):
                if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                    spectral_norm(layer)

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z = q.rsample()
        reconstruction = model.decode(z, c).log_prob(x)
        norm = 0.5 * z.square().flatten(1).sum(1)
        roughness = self._roughness(model, z, c)
        ends = {name: schedule.end for name, schedule in self.schedules.items()}
        selected = (
            reconstruction - ends.get("beta", self.beta) * norm - ends.get("weight", self.weight) * roughness
        )
        surrogate = reconstruction - self.beta * norm - self.weight * roughness + prior_fit(p, z)
        return ObjectiveResult.without_density(
            selected.detach(), subtract_auxiliary_loss(surrogate, q, p), reconstruction
        )

    def _roughness(self, model: VAE, z: Tensor, c: Tensor | None) -> Tensor:
        """Return :math:`R`, ``(batch,)`` or, where it is the same for every example, a scalar."""
        if self.penalty == "l2":
            squares = [parameter.square().sum() for parameter in model.decoder.parameters()]
            return torch.stack(squares).sum()
        if self.penalty == "gradient":
            return 0.5 * _pulled_back_noise(model, z, c).square().flatten(1).sum(1)
        return z.new_zeros(())


def _pulled_back_noise(model: VAE, z: Tensor, c: Tensor | None) -> Tensor:
    r"""Return :math:`v^\top \nabla g(z)` for a draw :math:`v \sim \mathcal N(0, I)`, of the shape of ``z``."""
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():  # needed in an evaluation without gradients too
        at = z if z.requires_grad else z.detach().requires_grad_()
        mean = model.decode(at, c).mean
        (pulled,) = torch.autograd.grad(mean, at, torch.randn_like(mean), create_graph=differentiable)
    return pulled
