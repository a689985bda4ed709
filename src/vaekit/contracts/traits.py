"""Traits: the facts about a part or a distribution that decide what it goes with, in one frozen value each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vaekit.errors import UsageError
from vaekit.language.grammar import there_are

__all__ = [
    "DistributionTraits",
    "LikelihoodTraits",
    "Measure",
    "Need",
    "NetworkTraits",
    "ObjectiveTraits",
    "PosteriorTraits",
    "PriorTraits",
    "Scaling",
]

Need = Literal["encode", "condition", "log_joint", "x", "codebook"]
Measure = Literal["density", "unit", "counts", "levels", "mixed", "none"]
Scaling = Literal["none", "unit", "standardize", "mixed", "levels"]


@dataclass(frozen=True, kw_only=True)
class PosteriorTraits:
    r"""The facts about a posterior that decide what it goes with.

    Parameters
    ----------
    space
        Where latents live: ``euclidean``, ``sphere``, ``poincare``, ``codes``, or a space of your own. The
        prior's must be the same.
    has_density
        Whether :math:`q(z \mid x)` has a density; a point mass has none.
    is_deterministic
        Whether each posterior is a single code out of finitely many.
    scores_own_draws_only
        Whether ``log_prob`` knows only the draws of the same distribution object.
    relaxed
        Whether training sees a continuous relaxation of discrete draws.
    needs
        What the call is given besides features: ``"encode"``, ``"condition"``, ``"log_joint"``, ``"x"``.

    Examples
    --------
    >>> PosteriorTraits(needs=frozenset({"encoder"}))
    Traceback (most recent call last):
    vaekit.errors.UsageError: needs={'encoder'}: unknown need 'encoder'; did you mean 'encode'? There are: encode,
    condition, log_joint, x, codebook
    """

    space: str = "euclidean"
    has_density: bool = True
    is_deterministic: bool = False
    scores_own_draws_only: bool = False
    relaxed: bool = False
    needs: frozenset[Need] = frozenset()

    def __post_init__(self) -> None:
        _check_needs(self.needs)


@dataclass(frozen=True, kw_only=True)
class PriorTraits:
    """The facts about a prior that decide what it goes with.

    Parameters
    ----------
    space
        Where latents live, as for :class:`PosteriorTraits`; ``"any"``: wherever the posterior's do.
    needs
        What the call is given: ``"encode"``, ``"condition"``, ``"codebook"``.
    needs_density
        Whether the posterior must have a density.
    needs_spread
        Whether the posterior must not be a single code.
    fits_draws
        Whether it has a method ``fit_draws`` that fits it to draws at once; otherwise it learns by gradients.
    """

    space: str = "euclidean"
    needs: frozenset[Need] = frozenset()
    needs_density: bool = False
    needs_spread: bool = False
    fits_draws: bool = False

    def __post_init__(self) -> None:
        _check_needs(self.needs)


@dataclass(frozen=True, kw_only=True)
class LikelihoodTraits:
    r"""The facts about a likelihood that decide which data it fits and what it is compared with.

    Parameters
    ----------
    measure
        What :math:`\exp \log p(x \mid z)` is; see :mod:`vaekit.likelihoods.conventions`.
    scaling
        The coordinates its data are brought to: ``standardize``, ``unit``, ``levels``, ``none`` or ``mixed``.
    column
        Whether it may describe single columns of a table (``mixed``, ``--column NAME=KIND``).
    column_options
        Options of its own that it is built with as a column of a table.
    learns_rows
        Whether it has a method ``learn_rows`` that is to see the training rows before it is trained.
    takes_missing
        Whether rows with missing cells can be evaluated: the distribution is torch's ``Independent`` over all
        dimensions of an example, of cells whose terms can be left out one by one.
    needs
        What the call is given besides features: ``"condition"``.

    Examples
    --------
    >>> LikelihoodTraits(measure="denisty")
    Traceback (most recent call last):
    vaekit.errors.UsageError: measure='denisty'; did you mean 'density'? There are: density, unit, counts, levels,
    mixed, none
    """

    measure: Measure
    scaling: Scaling = "none"
    column: bool = False
    column_options: Mapping[str, Any] | None = None
    learns_rows: bool = False
    takes_missing: bool = False
    needs: frozenset[Need] = frozenset()

    def __post_init__(self) -> None:
        _check_needs(self.needs)
        for name, value, kind in (("measure", self.measure, Measure), ("scaling", self.scaling, Scaling)):
            if value not in get_args(kind):
                raise UsageError(f"{name}={value!r}{there_are(str(value), get_args(kind))}")


@dataclass(frozen=True, kw_only=True)
class NetworkTraits:
    """The facts about a network recipe.

    Parameters
    ----------
    needs_images
        Whether the data must be images ``(channels, height, width)``.
    """

    needs_images: bool = False


@dataclass(frozen=True, kw_only=True)
class ObjectiveTraits:
    """The facts about an objective that decide which models it trains, and how.

    Parameters
    ----------
    needs_density
        Whether the posterior must have a density.
    needs_classifier
        Whether it learns labels, so that the model is built with a classifier.
    takes_relaxation
        Whether its surrogate may see relaxed draws of a discrete posterior.
    looks_over_batch
        Whether the result for one example depends on the others of its batch.
    reaches_into_networks
        Whether it reads weights, or differentiates a network within itself: such networks cannot be sharded.
    compares_whole_rows
        Whether it compares rows with draws otherwise than by their likelihood, so that no cell may be missing.
    """

    needs_density: bool = True
    needs_classifier: bool = False
    takes_relaxation: bool = False
    looks_over_batch: bool = False
    reaches_into_networks: bool = False
    compares_whole_rows: bool = False


@dataclass(frozen=True, kw_only=True)
class DistributionTraits:
    """The facts about a distribution that evaluation and objectives ask for.

    Parameters
    ----------
    discrete
        Whether its values are codes, with masses.
    has_density
        Whether there is a ``log_prob``.
    relaxed
        Whether draws may be relaxed.
    scores_own_draws_only
        Whether ``log_prob`` knows only its own draws.
    bound_samples
        Where ``log_prob`` is a lower bound: how many importance samples it takes. None: it is exact.
    """

    discrete: bool = False
    has_density: bool = True
    relaxed: bool = False
    scores_own_draws_only: bool = False
    bound_samples: int | None = None


def _check_needs(needs: frozenset[Any]) -> None:
    for need in needs:
        if need not in get_args(Need):
            raise UsageError(
                f"needs={set(needs)}: unknown need {need!r}{there_are(str(need), get_args(Need))}"
            )
