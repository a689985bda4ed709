r"""The four functions that leave Python, each a module of rows in the units of the data.

.. math::

    \text{encoder}     &: x \mapsto \mathbb E\, q(z \mid x),\ \text{and its standard deviation} \\
    \text{decoder}     &: z \mapsto \mathbb E\, p(x \mid z),\ \text{its standard deviation, and the parameters} \\
    \text{reconstruct} &: x \mapsto \mathbb E\, p(x \mid z = \mathbb E\, q(z \mid x)) \\
    \text{score}       &: x, \epsilon_{1 \ldots k} \mapsto \frac 1k \sum_i \log w_i,\ \log \frac 1k \sum_i w_i,
        \qquad w_i = \frac{p(x, z_i)}{q(z_i \mid x)}, \quad z_i = g(\epsilon_i, x)

The score's noise is an input, so that it gives the same number twice: its two outputs are the evidence lower bound
(Kingma and Welling, 2013) and the importance-weighted one (Burda, Grosse and Salakhutdinov, 2016, equation 8), in nats
and the units of the data.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from vaekit.errors import UsageError
from vaekit.estimator import ModelOfRows
from vaekit.export.given_noise import GivenNoise, noise_width
from vaekit.vae import code_of

__all__ = ["RowFunction", "Run", "row_functions"]

#: Runs a written program: from its inputs to its outputs.
Run = Callable[[tuple[Tensor, ...]], list[npt.NDArray[Any]]]


@dataclass(frozen=True)
class RowFunction:
    """A module with its inputs and outputs.

    Parameters
    ----------
    name
        ``encoder``, ``decoder``, ``reconstruct`` or ``score``.
    module
        From the inputs to a tuple of the outputs.
    inputs
        The names of its inputs.
    outputs
        The names of its outputs.
    examples
        Of each input some rows.
    batch
        Of each input the dimension along which rows lie.
    """

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    examples: tuple[Tensor, ...]
    batch: tuple[int, ...]


class _Encoder(nn.Module):
    def __init__(self, rows: ModelOfRows, *, has_spread: bool) -> None:
        super().__init__()
        self.rows, self.has_spread = rows, has_spread

    def forward(self, rows: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        q = self.rows.encode(rows, condition)
        code = code_of(q)
        return (code, q.stddev) if self.has_spread else (code,)


class _Decoder(nn.Module):
    def __init__(self, rows: ModelOfRows, *, has_spread: bool) -> None:
        super().__init__()
        self.rows, self.has_spread = rows, has_spread

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        features = self.rows.model.decoder_features(latent, condition)
        p = self.rows.model.likelihood(features, condition)
        mean = self.rows.to_rows(p.mean)
        return (mean, self.rows.spread_to_rows(p.stddev), features) if self.has_spread else (mean, features)


class _Reconstruct(nn.Module):
    def __init__(self, rows: ModelOfRows) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, rows: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        return (self.rows(rows, condition),)


class _Score(nn.Module):
    def __init__(self, rows: ModelOfRows) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, rows: Tensor, noise: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        x, model = self.rows.to_model(rows), self.rows.model
        q = model.encode(x, condition)
        with GivenNoise(noise):
            z = q.rsample(torch.Size((noise.shape[0],)))
        log_weight = model.log_joint(x, z, condition) - q.log_prob(z)
        return log_weight.mean(0), log_weight.logsumexp(0) - math.log(noise.shape[0])


def row_functions(
    rows: ModelOfRows, examples: Tensor, condition: Tensor | None, *, draws: int
) -> tuple[list[RowFunction], dict[str, str]]:
    """Return the functions of a model that can leave Python, and why the others cannot.

    Parameters
    ----------
    rows
        The model.
    examples
        Rows of the data ``(n, *event)``.
    condition
        The encoded conditions of as many rows; None where the model has none.
    draws
        The number of draws that a score takes.

    Returns
    -------
    list of RowFunction
    dict
        By name of a function that cannot, the reason.
    """
    model, n = rows.model, len(examples)
    given = () if condition is None else (condition,)
    names = () if condition is None else ("condition",)
    functions, refused = list[RowFunction](), dict[str, str]()
    with torch.no_grad():
        q = rows.encode(examples, *given)
        latents = code_of(q)
        p = model.decode(latents, *given)
        spreads = {"encoder": _has_deviation(q), "decoder": _has_deviation(p)}
    by_rows, by_latents = ("rows", *names), ("latent", *names)
    outputs = (
        ("mean", "standard_deviation", "parameters") if spreads["decoder"] else ("mean", "parameters"),
        ("mean", "standard_deviation") if spreads["encoder"] else ("mean",),
    )
    along = (0,) * (1 + len(given))
    functions += [
        RowFunction("encoder", _Encoder(rows, has_spread=spreads["encoder"]), by_rows, outputs[1], (examples, *given),
                    along),
        RowFunction("decoder", _Decoder(rows, has_spread=spreads["decoder"]), by_latents, outputs[0],
                    (latents, *given), along),
        RowFunction("reconstruct", _Reconstruct(rows), by_rows, ("reconstruction",), (examples, *given), along),
    ]  # fmt: skip
    traits = model.posterior_part.traits
    if not model.has_log_likelihood:
        refused["score"] = "its likelihood is no density, so that there is no log p(x)"
    elif not traits.has_density or traits.space == "codes":
        refused["score"] = "its posterior is a point or a code, without a density of latents"
    else:
        try:
            width = noise_width(lambda shape: q.rsample(torch.Size(shape)))
        except UsageError as error:
            refused["score"] = str(error)
        else:
            noise = torch.randn(draws, n, width, generator=torch.Generator().manual_seed(0))
            functions.append(
                RowFunction(
                    "score",
                    _Score(rows),
                    ("rows", "noise", *names),
                    ("elbo", "importance_weighted"),
                    (examples, noise, *given),
                    (0, 1, *along[1:]),
                )
            )
    return functions, refused


def _has_deviation(distribution: torch.distributions.Distribution) -> bool:
    try:
        return bool(torch.isfinite(distribution.stddev).all())
    except (NotImplementedError, AttributeError):
        return False
