"""The model and rows that the report shows, and the sections and pictures that its page consists of."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

if TYPE_CHECKING:
    from vaekit.contracts import Posterior
    from vaekit.data import Dataset
    from vaekit.estimator import VariationalAutoencoder

__all__ = ["Picture", "Scene", "Section", "evenly_spread"]

_ROWS = 3000  # more points would only overlap


@dataclass(frozen=True)
class Picture:
    """A picture, and a caption that explains how to read it."""

    svg: Markup
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, a short text, and pictures; ``small`` if there are many small ones."""

    key: str
    title: str
    pictures: list[Picture] = field(default_factory=list)
    text: str = ""
    small: bool = False


@dataclass(frozen=True)
class Scene:
    """A fitted model, some rows to show it with, and how active its latent dimensions are.

    Parameters
    ----------
    estimator
        The fitted model.
    shown
        Rows in the units of the data, or None if there are none.
    kl
        ``(latent,)`` mean KL of each latent dimension in nats, or None if the KL is not a sum over dimensions.
    """

    estimator: "VariationalAutoencoder"
    shown: "Dataset | None"
    kl: list[float] | None

    @classmethod
    def of(
        cls, estimator: "VariationalAutoencoder", shown: "Dataset | None", kl: list[float] | None
    ) -> "Scene":
        """Return a scene with at most as many rows as can be told apart."""
        if shown is not None:
            shown = shown.take(evenly_spread(len(shown), _ROWS)) if len(shown) else None
        return cls(estimator, shown, kl)

    @property
    def images(self) -> bool:
        """Whether the rows are images."""
        return self.estimator.schema_.kind == "images"

    @property
    def noun(self) -> str:
        """The word for one example: "image" or "row"."""
        return "image" if self.images else "row"

    @property
    def given(self) -> str | None:
        """The conditions for samples of a conditional model: "data", as in the training rows; else None."""
        return None if self.estimator.schema_.conditions is None else "data"

    @property
    def walked(self) -> dict[str, object] | None:
        """The most frequent condition of the training rows, which walks through latent space use."""
        conditions = self.estimator.schema_.conditions
        return None if conditions is None else conditions.most_frequent()

    @property
    def latent(self) -> int | None:
        """The number of latent dimensions to walk along; None if latents are not vectors of real numbers."""
        if self._posterior.codebook is not None:  # there is nothing between codes
            return None
        shape = self.estimator.model_.latent_shape
        return shape[0] if len(shape) == 1 else None

    @property
    def has_places(self) -> bool:
        """Whether latents are vectors, so that they can be drawn as points."""
        return len(self.estimator.model_.latent_shape) == 1

    @property
    def has_shares(self) -> bool:
        """Whether the KL of each dimension is informative; it is not if every code has the same cost."""
        return not self._posterior.traits.is_deterministic

    @property
    def _posterior(self) -> "Posterior":
        return self.estimator.model_.posterior_part


def evenly_spread(n: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most ``most`` indices below ``n``, evenly spaced, so that the order of the rows does not matter.

    >>> evenly_spread(100, 4), evenly_spread(3, 4)
    (array([ 0, 33, 66, 99]), array([0, 1, 2]))
    """
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).round().astype(np.int64)
