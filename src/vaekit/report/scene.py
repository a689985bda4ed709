"""What there is to draw, and the shape that drawings have on the page."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

if TYPE_CHECKING:
    from vaekit.contracts import Posterior
    from vaekit.data import Dataset
    from vaekit.estimator import VariationalAutoencoder

__all__ = ["Figure", "Scene", "Section", "evenly_spread"]

_ROWS = 3000  # more points would only hide each other


@dataclass(frozen=True)
class Figure:
    """A picture, and the sentence that says how to read it."""

    svg: Markup
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, a few words, and figures; ``small`` where they are many and little."""

    key: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    text: str = ""
    small: bool = False


@dataclass(frozen=True)
class Scene:
    """A fitted model, some rows to show it with, and how active its latent dimensions are.

    Parameters
    ----------
    estimator
        Fitted.
    shown
        Rows in the units of the data, or None where there are none at hand.
    kl
        ``(latent,)`` mean KL of each latent dimension in nats, or None where it does not fall apart.
    """

    estimator: "VariationalAutoencoder"
    shown: "Dataset | None"
    kl: list[float] | None

    @classmethod
    def of(
        cls, estimator: "VariationalAutoencoder", shown: "Dataset | None", kl: list[float] | None
    ) -> "Scene":
        """Make a scene with no more rows than can be seen."""
        if shown is not None:
            shown = shown.take(evenly_spread(len(shown), _ROWS)) if len(shown) else None
        return cls(estimator, shown, kl)

    @property
    def images(self) -> bool:
        """Whether the rows are images."""
        return self.estimator.schema_.kind == "images"

    @property
    def noun(self) -> str:
        """What one example is called."""
        return "image" if self.images else "row"

    @property
    def given(self) -> str | None:
        """What samples of a conditional model are drawn under: conditions as the training rows had them."""
        return None if self.estimator.schema_.conditions is None else "data"

    @property
    def walked(self) -> dict[str, object] | None:
        """The most frequent condition of the training rows: walks through latent space stay under it."""
        conditions = self.estimator.schema_.conditions
        return None if conditions is None else conditions.most_frequent()

    @property
    def latent(self) -> int | None:
        """Number of latent dimensions to walk along; None where a latent is not a vector of real numbers."""
        if self._posterior.codebook is not None:  # between codes there is nothing
            return None
        shape = self.estimator.model_.latent_shape
        return shape[0] if len(shape) == 1 else None

    @property
    def has_places(self) -> bool:
        """Whether latents are vectors, which can be drawn as points."""
        return len(self.estimator.model_.latent_shape) == 1

    @property
    def has_shares(self) -> bool:
        """Whether the parts of the KL tell anything: of a point among codes, each costs the same everywhere."""
        return not self._posterior.traits.is_deterministic

    @property
    def _posterior(self) -> "Posterior":
        return self.estimator.model_.posterior_part


def evenly_spread(n: int, most: int) -> npt.NDArray[np.int64]:
    """Give at most so many indices below ``n``, at even distances: fair whatever the order of the rows.

    >>> evenly_spread(100, 4), evenly_spread(3, 4)
    (array([ 0, 33, 66, 99]), array([0, 1, 2]))
    """
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).round().astype(np.int64)
