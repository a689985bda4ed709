r"""VAE/GAN: reconstruction in the feature space of a discriminator that distinguishes data from generated examples.

.. math::

    \mathcal L_\text{prior} &= \mathrm{KL}(q(z \mid x) \,\|\, p(z)) \\
    \mathcal L_\text{llike} &= -\mathbb E_{q(z \mid x)} \log \mathcal N(D_l(x);\, D_l(\tilde x), I) \\
    \mathcal L_\text{GAN} &= -\log D(x) - \log(1 - D(\tilde x)) - \log(1 - D(x_p))

Larsen et al. (2016), "Autoencoding beyond pixels using a learned similarity metric", equations 6 to 8 and
algorithm 1: :math:`\tilde x` is the mean of :math:`p(x \mid z)` for a draw :math:`z \sim q(z \mid x)`,
:math:`x_p` the mean for a draw from the prior, :math:`D_l` the features in a hidden layer of the
discriminator :math:`D`. Each part follows its own gradient:

.. math::

    \text{encoder} &: \mathcal L_\text{prior} + \mathcal L_\text{llike} \\
    \text{decoder} &: \gamma \mathcal L_\text{llike} - \mathcal L_\text{GAN} \\
    \text{discriminator} &: \mathcal L_\text{GAN}

(the paper's algorithm uses the opposite sign of :math:`\mathcal L_\text{GAN}` to its text; here it is the
loss that the discriminator minimises). So the decoder sees the draw twice, once attached to the encoder and
once detached.

Features are compared with unit variance, which has a meaning only if the features keep their scale. The
networks of the paper have batch normalisation there, which would make an example depend on its batch. Here
features are divided by one number, the root of their mean variance over the data: a running average that
moves only with the discriminator's steps.
"""

from collections.abc import Sequence
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaekit.contracts import ObjectiveResult, ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Schedule, check_scalar
from vaekit.networks.layers import build_activation
from vaekit.objectives.building_blocks import subtract_auxiliary_loss
from vaekit.objectives.divergence import divergence
from vaekit.objectives.latent_discriminators import draws
from vaekit.objectives.opposed import Opposed, check_layers
from vaekit.vae import VAE

__all__ = ["FeatureDiscriminator", "VaeGan"]


class VaeGan(Opposed):
    r"""``vae-gan``: a similarity that a discriminator learns, in place of the likelihood.

    The reported bound, by which the epoch is chosen, is the plain ELBO with the model's own likelihood, whose
    parameters outside the decoder (a noise scale) are fitted to it. It is not the objective that is trained:
    the codes carry more than is best for the ELBO, and with few rows it may choose an early epoch although
    later ones reconstruct better. The discriminator needs time to learn its features: for rows, use a few
    hundred units and several hundred steps.

    Parameters
    ----------
    gamma
        :math:`\gamma`, the weight of the reconstruction for the decoder alone.
    hidden
        Sizes of the discriminator's hidden layers; for rows, the last one is the feature space.
    channels
        Channels of its strided convolutions, for images; the last one is the feature space.

    Raises
    ------
    UsageError
        If ``gamma`` is negative or not finite, or a layer has no unit; when a model is checked, if the mean
        of its likelihood does not depend on all of the decoder's output.

    Examples
    --------
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=none"), (3,), latent=2)
    >>> objective = VaeGan()
    >>> objective.build_opponent(model)
    >>> objective(model, torch.ones(4, 3)).surrogate.shape
    torch.Size([4])
    """

    traits = ObjectiveTraits(compares_whole_rows=True)
    kind = "vae-gan"
    gamma: float

    def __init__(
        self,
        *,
        gamma: float | Schedule = 1.0,
        hidden: tuple[int, ...] = (256, 256),
        channels: tuple[int, ...] = (32, 64),
    ) -> None:
        check_scalar("vae-gan", "gamma", gamma, meaning="the weight of likeness against fooling")
        super().__init__(gamma=gamma)
        self.hidden = check_layers("vae-gan", hidden, at_least_one=True)
        self.channels = check_layers("vae-gan", channels, "channels", at_least_one=True)

    def check(self, model: VAE) -> None:
        """Refuse a likelihood whose mean does not depend on all features: some would never be trained."""
        likelihood = model.likelihood_part
        if likelihood.traits.needs:
            return
        like = next(model.parameters(), torch.zeros(()))
        if like.is_meta:  # shapes without values, which cannot be checked
            return
        with torch.enable_grad():
            features = torch.linspace(-1.0, 1.0, like.new_zeros(likelihood.feature_shape).numel())
            features = features.to(like).reshape(1, *likelihood.feature_shape).requires_grad_()
            mean = likelihood(features).mean
            slopes = torch.autograd.grad(mean.sum(), features)[0] if mean.requires_grad else torch.zeros(1)
        if not bool(slopes.isfinite().all()) or bool((slopes == 0).all(0).any()):
            raise UsageError(
                f"vae-gan: compares means, and the mean of {type(likelihood).__name__} does not depend on all that the "
                "decoder gives (a scale of each example, say), which would stay untrained; use bernoulli, or a "
                "likelihood whose scale is the same for every example"
            )

    def new_opponent(self, model: VAE) -> nn.Module:
        """Return a new discriminator, from data to features and one logit."""
        return FeatureDiscriminator(
            model.event_shape,
            hidden=self.hidden,
            channels=self.channels,
            transform=model.likelihood_part.encoder_input,
        )

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective for ``x`` of shape ``(batch, *event)``."""
        q, p = model.encode(x, c), model.prior(c)
        z = q.rsample()
        kl, per_dimension = divergence(q, p, z)
        decoded = model.decoder_features(z, c)
        # With the decoder's output fixed: only the likelihood's own parameters learn from its density.
        reconstruction = model.likelihood(decoded.detach(), c).log_prob(x)
        seen, _ = self.judge(x)
        for_encoder, _ = self._likeness(seen, model.likelihood(decoded, c).mean)
        for_decoder, reconstructed = self._likeness(seen, model.decode(z.detach(), c).mean)
        _, generated = self.judge(model.decode(draws(p, len(x)), c).mean)
        surrogate = (
            for_encoder
            - kl
            + (self.gamma - 1.0) * for_decoder
            + softplus(reconstructed)
            + softplus(generated)
            + (reconstruction - reconstruction.detach())
        )
        surrogate = subtract_auxiliary_loss(surrogate, q, p)
        return ObjectiveResult(reconstruction - kl, surrogate, reconstruction, kl, per_dimension)

    def opponent_loss(self, model: VAE, x: Tensor, c: Tensor | None = None) -> Tensor:
        r"""Return :math:`\mathcal L_\text{GAN}`, ``(batch,)``, of data, reconstructions and generated examples."""
        with torch.no_grad():
            reconstructed = model.decode(model.encode(x, c).sample(), c).mean
            generated = model.decode(draws(model.prior(c), len(x)), c).mean
        discriminator = cast(FeatureDiscriminator, self.player())
        features, real = discriminator(x)
        discriminator.follow(features)
        return (
            softplus(-real)
            + softplus(discriminator(reconstructed)[1])
            + softplus(discriminator(generated)[1])
        )

    def _likeness(self, seen: Tensor, reconstruction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-density of features, up to its constant, and the logit; both ``(batch,)``."""
        features, logit = self.judge(reconstruction)
        return -0.5 * (seen - features).square().sum(1), logit


_MOMENTUM, _TINY = 0.1, 1e-5  # as batch normalisation has them


class FeatureDiscriminator(nn.Module):
    """A network from examples to features, and to the logit of the example being data.

    Parameters
    ----------
    event_shape
        The shape of an example: an image ``(C, H, W)`` goes through strided convolutions, anything else is a
        row.
    hidden
        Sizes of the hidden layers. For rows, the last one is the features; for images, they come after the
        features.
    channels
        Channels of the convolutions, each of which halves the image.
    transform
        A map without parameters, applied to the examples first.

    Examples
    --------
    >>> features, logit = FeatureDiscriminator((1, 8, 8), hidden=(16,), channels=(4, 8))(torch.zeros(5, 1, 8, 8))
    >>> features.shape, logit.shape
    (torch.Size([5, 32]), torch.Size([5]))
    """

    variance: Tensor

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        hidden: Sequence[int],
        channels: Sequence[int],
        transform: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.transform = nn.Identity() if transform is None else transform
        layers: list[nn.Module]
        if len(event_shape) == 3:
            sides = event_shape[1:]
            layers = []
            for channels_in, channels_out in zip((event_shape[0], *channels), channels, strict=False):
                layers += [nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1), _activation()]
                sides = [(side + 1) // 2 for side in sides]
            self.body = nn.Sequential(*layers, nn.Flatten())
            self.head = nn.Sequential(*_dense([channels[-1] * prod(sides), *hidden]))
        else:
            layers = _dense([prod(event_shape), *hidden])
            self.body = nn.Sequential(nn.Flatten(), *layers)
            self.head = nn.Sequential()
        self.head.append(nn.Linear(hidden[-1], 1))
        self.register_buffer("variance", torch.ones(()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(batch, *event)`` to features ``(batch, d)`` and logits ``(batch,)``."""
        features = self.body(self.transform(x))
        return features * (self.variance + _TINY).rsqrt(), self.head(features).squeeze(1)

    @torch.no_grad()
    def follow(self, features: Tensor) -> None:
        """Move the running average towards the variance of data's features, as returned by :meth:`forward`."""
        if len(features) > 1:
            found = features.var(0).mean() * (self.variance + _TINY)
            self.variance.lerp_(found, _MOMENTUM)


def _activation() -> nn.Module:
    return build_activation("leaky-relu")


def _dense(sizes: Sequence[int]) -> list[nn.Module]:
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    return [layer for size_in, size_out in pairs for layer in (nn.Linear(size_in, size_out), _activation())]
