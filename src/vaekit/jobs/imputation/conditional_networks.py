r"""A variational autoencoder that gives any columns of a row given any others.

With the visible cells v of a row, and the cells h that are observed too but hidden in this step,

.. math::

    \log p(x_h \mid x_v) \ge \mathbb E_{q(z \mid x_h, x_v)} \log p(x_h \mid z, x_v)
        - \mathrm{KL}\bigl(q(z \mid x_h, x_v) \,\|\, p(z \mid x_v)\bigr)

in nats: Ivanov, Figurnov and Vetrov (2019), "Variational Autoencoder with Arbitrary Conditioning", equation 6. The
decoder begins at a Gaussian's conditional moments (see :mod:`vaekit.jobs.imputation.gaussian_anchor`) and
learns what they miss:

.. math:: x_j \mid z, x_v \sim t_5(m_j + s_j a_j(z, x_v),\; s_j \exp b_j(z, x_v))

for a number with conditional mean m and deviation s, and a softmax for a category. Several such networks are members of
one stack; each leaves out a part of the rows, which it can then be judged by.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.jobs.imputation.gaussian_anchor import GaussianAnchors
from vaekit.jobs.layers_and_optimiser import adam_on_one_cycle, apply_layers, make_layers, one_hot
from vaekit.jobs.table_coding import CodedRows
from vaekit.networks.bounded import soft_bound

__all__ = ["ConditionalNetworks", "ConditionalSettings", "Expected", "train_conditional"]

Layers = list[tuple[Tensor, Tensor]]

_FREEDOM = 5.0  # degrees of freedom of a number's Student-t
_LOG_CONSTANT = (
    math.lgamma((_FREEDOM + 1) / 2) - math.lgamma(_FREEDOM / 2) - 0.5 * math.log(_FREEDOM * math.pi)
)
_LOG_SCALE_LIMIT = 3.0
_GAIN = math.sqrt(3)  # weights begin with the variance 1/in, three times PyTorch's
_MASKS = 200_000  # rows with different hidden cells that training goes through, in all
_LEAST_PROBABILITY = 1e-3
_MOST_KEPT = 1 << 25  # numbers, decoded for the means, that the draws take again


@dataclass(frozen=True)
class ConditionalSettings:
    """The size of the networks, and the length of their training.

    Parameters
    ----------
    hidden
        Units of each hidden layer.
    steps
        Steps of Adam.
    learning_rate
        The highest one: it rises for a tenth of the steps, and falls along a cosine.
    latent, batch_size
        Latent dimensions, and rows in a step.
    weight_decay
        Of AdamW.
    copies
        The most that training has of each row, with different cells hidden.
    warm_up
        The share of the steps in which the weight of the KL rises from 0 to 1.
    """

    hidden: int
    steps: int
    learning_rate: float
    latent: int = 8
    batch_size: int = 128
    weight_decay: float = 1e-4
    copies: int = 32
    warm_up: float = 0.3


@dataclass(frozen=True)
class Expected:
    """The expectation of every cell, by each member.

    Parameters
    ----------
    numbers
        ``(members, n, numeric columns)``: means.
    probabilities
        For each categorical column ``(members, n, positions)``.
    linear
        ``(members, n, width)``: the means of the members' Gaussians, which networks begin at.
    """

    numbers: Tensor
    probabilities: list[Tensor]
    linear: Tensor


class ConditionalNetworks:
    """Encoders q(z | observed), priors p(z | visible) and decoders of all members.

    Parameters
    ----------
    anchors
        The members' Gaussians.
    numbers
        The number of numeric columns.
    sizes
        The number of positions of each categorical column.
    settings
        Their size.
    generator
        Of the weights that training begins with.
    """

    def __init__(
        self,
        anchors: GaussianAnchors,
        numbers: int,
        sizes: tuple[int, ...],
        settings: ConditionalSettings,
        generator: torch.Generator,
    ) -> None:
        self.anchors, self.numbers, self.sizes, self.latent = anchors, numbers, sizes, settings.latent
        self.members = len(anchors.mean)
        inner = [settings.hidden, settings.hidden]
        told = numbers + sum(sizes) + numbers + len(sizes)
        given, features = told + 2 * anchors.width, 2 * numbers + sum(sizes)
        self.encoder = make_layers(self.members, [told, *inner, 2 * settings.latent], generator)
        self.prior = make_layers(self.members, [given, *inner, 2 * settings.latent], generator)
        self.decoder = make_layers(self.members, [given + settings.latent, *inner, features], generator)
        for weight, _ in (*self.encoder, *self.prior, *self.decoder):
            weight *= _GAIN
        self.decoder[-1][0].zero_()  # training begins at the anchor itself

    def only(self, member: int) -> "ConditionalNetworks":
        """Return one member as a stack of its own, with the same weights."""
        found, this = copy.copy(self), slice(member, member + 1)
        found.members, found.anchors = 1, self.anchors.only(member)
        found.encoder = [(weight[this], bias[this]) for weight, bias in self.encoder]
        found.prior = [(weight[this], bias[this]) for weight, bias in self.prior]
        found.decoder = [(weight[this], bias[this]) for weight, bias in self.decoder]
        return found

    def begin_again(self, anchors: GaussianAnchors) -> "ConditionalNetworks":
        """Return a stack with other Gaussians, whose members have the weights of these ones in turn."""
        found, which = copy.copy(self), torch.arange(len(anchors.mean)) % self.members
        found.members, found.anchors = len(which), anchors
        found.encoder = [(weight[which], bias[which]) for weight, bias in self.encoder]
        found.prior = [(weight[which], bias[which]) for weight, bias in self.prior]
        found.decoder = [(weight[which], bias[which]) for weight, bias in self.decoder]
        return found

    def parameters(self) -> list[Tensor]:
        """Return all weights, each with the members as its first dimension."""
        return [weight for layer in (*self.encoder, *self.prior, *self.decoder) for weight in layer]

    def to_parts(self) -> tuple[GaussianAnchors, int, tuple[int, ...], Layers, Layers, Layers]:
        """Return the Gaussians, the number of numeric columns, the positions of the others, and all layers."""
        return self.anchors, self.numbers, self.sizes, self.encoder, self.prior, self.decoder

    @classmethod
    def from_parts(
        cls, parts: tuple[GaussianAnchors, int, tuple[int, ...], Layers, Layers, Layers]
    ) -> "ConditionalNetworks":
        """Return the networks that have these parts."""
        found = cls.__new__(cls)
        found.anchors, found.numbers, found.sizes, found.encoder, found.prior, found.decoder = parts
        found.members, found.latent = len(found.anchors.mean), found.encoder[-1][1].shape[-1] // 2
        return found

    def told(self, rows: CodedRows, visible: Tensor) -> Tensor:
        """Return the visible cells, and which they are, as networks take them: ``(n, width)``."""
        seen = CodedRows(rows.numbers * visible[..., : self.numbers], rows.codes, visible)
        return torch.cat([seen.numbers, *one_hot(seen, self.sizes), visible], -1)

    def given(self, rows: CodedRows, visible: Tensor, anchor: tuple[Tensor, Tensor]) -> Tensor:
        """Return what prior and decoder take of the visible cells, ``(members, n, width)``."""
        told = self.told(rows, visible).expand(self.members, -1, -1)
        return torch.cat([told, *anchor], -1)

    def latents(self, layers: list[tuple[Tensor, Tensor]], inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log-deviations of latents, each ``(members, n, latent)``."""
        mean, log_deviation = apply_layers(layers, inputs.expand(self.members, -1, -1)).chunk(2, -1)
        return mean, soft_bound(log_deviation, 5.0)

    def decode(
        self, z: Tensor, given: Tensor, anchor: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return locations and scales of numbers, and log-probabilities of each categorical column's positions."""
        features = apply_layers(self.decoder, torch.cat([given, z], -1))
        shift, log_scale, *logits = features.split([self.numbers, self.numbers, *self.sizes], -1)
        (mean, *linear), (deviation, *_) = (
            part.split([self.numbers, *self.anchors.sizes], -1) for part in anchor
        )
        if linear:
            # The Gaussian's mean of a column of zeros and ones is nearly a probability.
            logits = [
                own + part.clamp(_LEAST_PROBABILITY, 1).log()
                for own, part in zip(logits, linear, strict=True)
            ]
        scale = deviation * soft_bound(log_scale, _LOG_SCALE_LIMIT).exp()
        return mean + deviation * shift, scale, [part.log_softmax(-1) for part in logits]

    def bound(
        self, rows: CodedRows, visible: Tensor, anchor: tuple[Tensor, Tensor], noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        r"""Return both terms of the bound, :math:`\mathbb E_q \log p(x_h \mid z, x_v)` and the KL, ``(members, n)``."""
        given = self.given(rows, visible, anchor)
        mean, log_deviation = self.latents(self.encoder, self.told(rows, rows.observed))
        prior_mean, prior_log = self.latents(self.prior, given)
        z = mean + log_deviation.exp() * noise
        location, scale, tables = self.decode(z, given, anchor)
        cells = [student_t_log_density(rows.numbers, location, scale)]
        for j, table in enumerate(tables):
            code = rows.codes[..., j].expand(table.shape[:-1])
            cells.append(table.gather(-1, code[..., None]))
        hidden = rows.observed - visible
        divergence = (
            prior_log
            - log_deviation
            + 0.5 * ((2 * log_deviation).exp() + (mean - prior_mean).square()) * (-2 * prior_log).exp()
            - 0.5
        )
        return (torch.cat(cells, -1) * hidden).sum(-1), divergence.sum(-1)

    @torch.no_grad()
    def expect(
        self, rows: CodedRows, visible: Tensor, *, draws: int, generator: torch.Generator
    ) -> tuple[Expected, Iterator[tuple[Tensor, list[Tensor]]]]:
        """Return what members expect of every cell, and draws of whole rows given the visible cells.

        Parameters
        ----------
        rows, visible
            The rows, and which of their cells are told.
        draws
            The number of latents that means are taken over, and of draws.
        generator
            Of the draws.

        Returns
        -------
        Expected
            Means over the latents.
        iterator
            Of each draw the numbers ``(members, n, numeric)`` and codes ``(members, n)`` of each categorical column.
        """
        anchor = self.anchors.given(rows, visible)
        given = self.given(rows, visible, anchor)
        mean, log_deviation = self.latents(self.prior, given)
        noise = torch.randn(draws, *mean.shape, generator=generator)

        def decoded() -> Iterator[tuple[Tensor, Tensor, list[Tensor]]]:
            for each in noise:
                yield self.decode(mean + log_deviation.exp() * each, given, anchor)

        features = 2 * self.numbers + sum(self.sizes)
        kept = list(decoded()) if features * noise[..., 0].numel() <= _MOST_KEPT else None
        total = torch.zeros(())
        tables = [torch.zeros(())] * len(self.sizes)
        for location, _, found in kept or decoded():
            total = total + location / draws
            tables = [table + part.exp() / draws for table, part in zip(tables, found, strict=True)]

        def drawn() -> Iterator[tuple[Tensor, list[Tensor]]]:
            for location, scale, found in kept or decoded():
                codes = [
                    torch.multinomial(part.exp().flatten(0, 1), 1, generator=generator).view(part.shape[:-1])
                    for part in found
                ]
                yield location + scale * _student_t(location.shape, generator), codes

        return Expected(total, tables, anchor[0]), drawn()


def train_conditional(
    networks: ConditionalNetworks,
    rows: CodedRows,
    weight: Tensor,
    settings: ConditionalSettings,
    generator: torch.Generator,
) -> None:
    """Train all members in one program, with cells hidden at random.

    Parameters
    ----------
    networks
        Trained in place.
    rows
        Rows with holes: a hole is never told nor asked for.
    weight
        ``(members, n)``: how often a member sees each row; 0 for one that it must not see.
    settings
        For how long.
    generator
        Of rows, hidden cells and noise.
    """
    n, columns = rows.observed.shape
    # The conditional moments of Gaussians cost more than a step: they are taken once for a store of hidden cells.
    copies = max(1, min(settings.copies, _MASKS // n))
    which = torch.arange(n).repeat(copies)
    share = torch.rand(len(which), 1, generator=generator) * 0.6 + 0.1
    store = rows.take(which)
    visible = (torch.rand(len(which), columns, generator=generator) > share) * rows.observed[which]
    means, deviations = networks.anchors.given(store, visible)
    seen = weight[:, which]
    seen = seen / seen.mean(1, keepdim=True).clamp(min=1e-6)
    weights = [each.requires_grad_() for each in networks.parameters()]
    optimizer, schedule = adam_on_one_cycle(
        weights,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        steps=settings.steps,
    )
    batch = min(settings.batch_size, len(which))
    rising = settings.warm_up * settings.steps
    for step in range(settings.steps):
        drawn = torch.randint(len(which), (batch,), generator=generator)
        noise = torch.randn(networks.members, batch, networks.latent, generator=generator)
        anchor = means[:, drawn], deviations[:, drawn]
        reconstruction, divergence = networks.bound(store.take(drawn), visible[drawn], anchor, noise)
        warmth = min(1.0, step / rising) if rising else 1.0
        loss = ((warmth * divergence - reconstruction) * seen[:, drawn]).mean(1).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 5.0 * networks.members, foreach=True)
        optimizer.step()
        schedule.step()
    for each in weights:
        each.requires_grad_(False)


def student_t_log_density(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Return log-densities of Student's t with five degrees of freedom, in nats, elementwise.

    Examples
    --------
    >>> student_t_log_density(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(2.0)).exp().round(decimals=4)
    tensor(0.1640)
    """
    residual = (x - location) / scale
    return _LOG_CONSTANT - scale.log() - (_FREEDOM + 1) / 2 * torch.log1p(residual.square() / _FREEDOM)


def _student_t(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw from Student's t with five degrees of freedom."""
    normal = torch.randn(int(_FREEDOM) + 1, *shape, generator=generator)
    return normal[0] / normal[1:].square().mean(0).sqrt()
