r"""Many small variational autoencoders as one: the weights of all members are stacked, and one product serves all.

Every member m has an encoder :math:`q_m(z \mid x) = N(\mu_m(x), \operatorname{diag} \sigma_m^2(x))`, the prior
:math:`N(0, I)` and a decoder with one likelihood a column: a Gaussian with a scale of its own for a number, a softmax
for a category. A hole adds nothing:

.. math:: \log p_m(x \mid z) = \sum_{j\ \text{observed}} \log p_m(x_j \mid z).

Kingma and Welling (2014), "Auto-Encoding Variational Bayes", section 2; with holes Mattei and Frellsen (2019),
"MIWAE", equation 4. The package's own training step trains one model, whose every product is one member's: sixteen such
runs of some hundred steps would spend their time on the overhead of single steps, so that these are written as products
of stacks.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.jobs.layers_and_optimiser import apply_layers, make_layers, one_hot
from vaekit.jobs.table_coding import CodedRows
from vaekit.networks.bounded import soft_bound

__all__ = ["MemberNetworks"]

_LOG_SCALE_LIMIT = 3.0  # a cell's standard deviation is from 5 % of the column's to 20 times it
_LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(eq=False)
class MemberNetworks:
    """Encoders and decoders of all members.

    Parameters
    ----------
    sizes
        The number of positions of each categorical column.
    encoder, decoder
        Weights and biases of each layer, ``(members, in, out)`` and ``(members, 1, out)``.
    log_scale
        ``(members, 1, numbers)``: of each numeric column, before it is bounded.

    Examples
    --------
    >>> networks = MemberNetworks.begin(3, 2, (), hidden=8, latent=2, generator=torch.Generator().manual_seed(0))
    >>> rows = CodedRows(torch.zeros(5, 2), torch.zeros(5, 0).long(), torch.ones(5, 2))
    >>> mean, log_deviation = networks.encode(networks.inputs(rows))
    >>> mean.shape, networks.cells(mean, rows).shape
    (torch.Size([3, 5, 2]), torch.Size([3, 5, 2]))
    """

    sizes: tuple[int, ...]
    encoder: list[tuple[Tensor, Tensor]]
    decoder: list[tuple[Tensor, Tensor]]
    log_scale: Tensor

    @classmethod
    def begin(
        cls,
        members: int,
        numbers: int,
        sizes: tuple[int, ...],
        *,
        hidden: int,
        latent: int,
        generator: torch.Generator,
    ) -> "MemberNetworks":
        """Return networks that are yet to be trained.

        Parameters
        ----------
        members
            The number of members.
        numbers
            The number of numeric columns.
        sizes
            The number of positions of each categorical column.
        hidden, latent
            Units of the two hidden layers of each network, and latent dimensions.
        generator
            Of the weights.
        """
        coded = numbers + sum(sizes)
        inputs = coded + numbers + len(sizes)
        encoder = make_layers(members, [inputs, hidden, hidden, 2 * latent], generator)
        decoder = make_layers(members, [latent, hidden, hidden, coded], generator)
        return cls(sizes, encoder, decoder, torch.zeros(members, 1, numbers))

    @property
    def members(self) -> int:
        """The number of members."""
        return self.log_scale.shape[0]

    @property
    def numbers(self) -> int:
        """The number of numeric columns."""
        return self.log_scale.shape[2]

    @property
    def latent(self) -> int:
        """The number of latent dimensions."""
        return self.decoder[0][0].shape[1]

    def parameters(self) -> list[Tensor]:
        """Return all weights, each with the members as its first dimension."""
        return [*(weight for layer in (*self.encoder, *self.decoder) for weight in layer), self.log_scale]

    def inputs(self, rows: CodedRows) -> Tensor:
        """Return rows as the encoders take them: numbers, categories one-hot, and which cells are holes."""
        return torch.cat([rows.numbers, *one_hot(rows, self.sizes), 1 - rows.observed], dim=-1)

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means and the log-deviations of q(z | x), each ``(members, n, latent)``."""
        mean, log_deviation = apply_layers(self.encoder, inputs.expand(self.members, -1, -1)).chunk(2, dim=-1)
        return mean, soft_bound(log_deviation, 6.0)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return means and log-scales of numbers, and the log-probabilities of each categorical column's positions."""
        features = apply_layers(self.decoder, z)
        mean, *logits = features.split([self.numbers, *self.sizes], dim=-1)
        return mean, soft_bound(self.log_scale, _LOG_SCALE_LIMIT), [part.log_softmax(-1) for part in logits]

    def cells(self, z: Tensor, rows: CodedRows) -> Tensor:
        """Return log p(x_j | z) of every cell, ``(members, n, columns)``, in nats, of holes too."""
        mean, log_scale, log_probabilities = self.decode(z)
        residual = (rows.numbers - mean) * (-log_scale).exp()
        found = [-0.5 * residual.square() - log_scale - 0.5 * _LOG_TWO_PI]
        for j, each in enumerate(log_probabilities):
            code = rows.codes[..., j].expand(each.shape[:-1])
            found.append(each.gather(-1, code[..., None]))
        return torch.cat(found, dim=-1)

    def bound(self, rows: CodedRows, noise: Tensor) -> Tensor:
        r"""Return the evidence lower bound of rows, ``(members, n)``, in nats, with one draw of z.

        .. math:: \log p(x \mid z) - \mathrm{KL}(q(z \mid x) \,\|\, p(z)), \qquad z = \mu + \sigma \epsilon.

        Parameters
        ----------
        rows
            ``(n, ...)`` that all members share, or ``(members, n, ...)``.
        noise
            Draws of :math:`\epsilon`, ``(members, n, latent)``.
        """
        mean, log_deviation = self.encode(self.inputs(rows))
        deviation = log_deviation.exp()
        cells = self.cells(mean + deviation * noise, rows) * rows.observed
        divergence = 0.5 * (mean.square() + deviation.square() - 1) - log_deviation
        return cells.sum(-1) - divergence.sum(-1)

    def log_evidence(self, rows: CodedRows, noise: Tensor, hole: Tensor) -> Tensor:
        r"""Return log p(x) by importance sampling, ``(members, n)``, in nats.

        .. math:: \log \frac 1 S \sum_s \frac{p(x \mid z_s)\, p(z_s)}{q(z_s \mid x)}

        Parameters
        ----------
        rows
            The rows.
        noise
            ``(samples, members, 1, latent)``: the same for all rows, so that a row's number depends on nothing else.
        hole
            ``(members, columns)``: what a hole counts as, in nats.
        """
        mean, log_deviation = self.encode(self.inputs(rows))
        deviation, weights = log_deviation.exp(), []
        for draw in noise:
            z = mean + deviation * draw
            cells = torch.where(rows.observed > 0, self.cells(z, rows), hole[:, None])
            # log p(z) - log q(z | x): the normalising constants cancel
            ratio = -0.5 * z.square() + 0.5 * draw.square() + log_deviation
            weights.append(cells.sum(-1) + ratio.sum(-1))
        return torch.stack(weights).logsumexp(0) - math.log(len(noise))
