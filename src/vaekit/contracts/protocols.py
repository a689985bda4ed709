"""The contracts of posteriors, priors, likelihoods and networks, and of the models that evaluation takes."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.contracts.traits import LikelihoodTraits, NetworkTraits, PosteriorTraits, PriorTraits

__all__ = ["Accepts", "CodeSpace", "Likelihood", "Model", "Network", "Posterior", "Prior"]


class CodeSpace(Protocol):
    """A way to write codes as latents and to read them; a prior over codes is given one as ``codebook``."""

    @property
    def positions(self) -> int:
        """The number of codes that make a latent, over all levels."""
        ...

    @property
    def codes(self) -> int:
        """The number of codes to choose from at each position."""
        ...

    @property
    def event_shape(self) -> torch.Size:
        """The shape of a latent."""
        ...

    #: Whether unit vectors have the gradient of the latent they are read from.
    is_differentiable: ClassVar[bool]

    def embed(self, codes: Tensor) -> Tensor:
        """Write codes ``(..., positions)`` as latents ``(..., *event)``."""
        ...

    def find(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Read latents ``(..., *event)``: the codes ``(..., positions)``, and where ``(...)`` they are exact."""
        ...

    def one_hot(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Read latents as unit vectors ``(..., positions, codes)``, and where ``(...)`` they are exact."""
        ...

    def pool(self, frequencies: Tensor) -> Tensor:
        """Average ``(positions, codes)`` over the positions that share a codebook: ``(codebooks, codes)``."""
        ...


class Posterior(Protocol):
    r"""A posterior: from features to :math:`q(z \mid x)`. Inherit from ``nn.Module`` and this.

    Attributes
    ----------
    latent_shape
        The shape of one :math:`z`.
    feature_shape
        The shape of the encoder's output for one example.
    """

    traits: PosteriorTraits = PosteriorTraits()
    latent_shape: tuple[int, ...]
    feature_shape: tuple[int, ...]

    def __call__(self, features: Tensor, **given: Any) -> Distribution:
        """Return the distribution for features ``(..., *feature_shape)``."""
        ...

    def probe(self, features: Tensor) -> Distribution | None:
        """Return a distribution to look at, not to draw from, of features alone; None: there is none."""
        return None

    @property
    def codebook(self) -> CodeSpace | None:
        """The way codes are written as latents; None where latents are not codes."""
        return None

    @property
    def shared(self) -> Mapping[str, Any]:
        """Values that a prior needs to be built, by the names of its parameters (a curvature, say)."""
        return {}

    @property
    def decoder_input(self) -> nn.Module | None:
        """The module between a latent and the decoder; None: the decoder sees the latent itself."""
        return None

    @property
    def decoder_shape(self) -> tuple[int, ...]:
        """The shape of what the decoder sees."""
        return self.latent_shape


class Prior(Protocol):
    """A prior: from nothing (or what it needs) to :math:`p(z)`. Inherit from ``nn.Module`` and this."""

    traits: PriorTraits = PriorTraits()

    def __call__(self, **given: Any) -> Distribution:
        """Return the distribution."""
        ...

    def fit_draws(self, z: Tensor, seed: int = 0, *, condition: Tensor | None = None) -> None:
        """Fit the prior to draws ``(n, *latent)`` at once; called only where the trait ``fits_draws`` is set."""


class Likelihood(Protocol):
    r"""A likelihood: from features to :math:`p(x \mid z)`. Inherit from ``nn.Module`` and this.

    Attributes
    ----------
    event_shape
        The shape of one :math:`x`.
    feature_shape
        The shape of the decoder's output for one example.
    support
        The data it accepts: a :class:`vaekit.likelihoods.Support`.
    encoder_input
        A module between the data and the encoder, or None.
    """

    traits: LikelihoodTraits
    event_shape: tuple[int, ...]
    feature_shape: tuple[int, ...]
    support: "Accepts"
    encoder_input: Any
    levels: int | None = None
    columns: tuple[str, ...] | None = None

    def __call__(self, features: Tensor, **given: Any) -> Distribution:
        """Return the distribution for features ``(..., *feature_shape)``."""
        ...

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        """The shape of what the encoder sees."""
        return self.event_shape

    def marginal_features(self, x: Tensor) -> Tensor | None:
        """Return the features that give data ``(n, *event)`` their marginals for every latent; None: not known."""
        return None

    def learn_rows(self, rows: npt.NDArray[np.floating], facts: Sequence[Any]) -> None:
        """Learn what is fixed before training from training rows in the coordinates of the model.

        Called only where the trait ``learns_rows`` is set, with the facts about each column: see
        :class:`vaekit.likelihoods.histogram_cells.ColumnFacts`.
        """

    def baseline(
        self, train: npt.NDArray[np.float64], held_out: npt.NDArray[np.float64]
    ) -> Sequence[tuple[str, npt.NDArray[np.float64]]]:
        """Return further baselines of the data's kind: names, and log-likelihoods ``(n,)`` of held-out rows in nats."""
        return ()


class Accepts(Protocol):
    """The data that a likelihood accepts."""

    @property
    def lower(self) -> float:
        """The smallest value."""
        ...

    @property
    def upper(self) -> float:
        """The largest value."""
        ...

    def contains(self, values: npt.ArrayLike) -> bool:
        """Whether all values lie inside."""
        ...

    def inside(self, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which values lie inside, in the shape of the values."""
        ...

    def check(self, values: npt.ArrayLike, kind: str) -> None:
        """Refuse other data with a :class:`~vaekit.errors.DataError`."""
        ...


class Network(Protocol):
    """A recipe of networks: makes encoders and decoders for given shapes."""

    traits: NetworkTraits = NetworkTraits()

    def encoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Make a module from ``(batch, *input_shape)`` to ``(batch, *output_shape)``."""
        ...

    def decoder(self, input_shape: Sequence[int], output_shape: Sequence[int]) -> nn.Module:
        """Make a module from ``(batch, *input_shape)`` to ``(batch, *output_shape)``."""
        ...


class Model(Protocol):
    """A model that can be evaluated, ours or anybody's: three conditional distributions."""

    def encode(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        r"""Return :math:`q(z \mid x)`."""
        ...

    def prior(self, c: Tensor | None = None) -> Distribution:
        """Return :math:`p(z)`."""
        ...

    def decode(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        r"""Return :math:`p(x \mid z)`."""
        ...
