"""The contract of objectives, and the result that every one of them returns."""

from collections.abc import Callable, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from vaekit.contracts.traits import ObjectiveTraits
from vaekit.errors import UsageError
from vaekit.language.schedules import Schedule

__all__ = ["Objective", "ObjectiveResult", "WrappedObjective", "as_objective", "check_result"]


class ObjectiveResult(NamedTuple):
    r"""Per-example results of an objective, in nats.

    Parameters
    ----------
    bound
        ``(batch,)``: a lower bound of :math:`\log p(x)` (in expectation), free of weights and annealing. Where the
        posterior has no density there is none: then the objective without its schedules, to select on.
    surrogate
        ``(batch,)``: what training maximises; its gradient is the objective's, its value need not be a bound.
    reconstruction
        ``(batch,)``: :math:`\mathbb E_q \log p(x \mid z)`.
    kl
        ``(batch,)``: :math:`\mathrm{KL}(q(z \mid x) \,\|\, p(z))`, or its one-sample estimate.
    kl_per_dimension
        ``(batch, latent)`` where both distributions factorise, else None.
    """

    bound: Tensor
    surrogate: Tensor
    reconstruction: Tensor
    kl: Tensor
    kl_per_dimension: Tensor | None

    @classmethod
    def without_density(
        cls, objective: Tensor, surrogate: Tensor, reconstruction: Tensor
    ) -> "ObjectiveResult":
        """Return the result for a posterior without a density, whose KL is infinite.

        Parameters
        ----------
        objective
            ``(batch,)``: what training maximises, with every scheduled weight at its end, to select on.
        surrogate, reconstruction
            As above.
        """
        return cls(
            objective, surrogate, reconstruction, torch.full_like(reconstruction.detach(), torch.inf), None
        )


class Objective(Protocol):
    """An objective: from a model and data ``(batch, *event)`` to results per example. Inherit from this.

    Only the call has to be written. A plain function of ``(model, x, c)`` will do as well: see :func:`as_objective`.
    An objective with a second player, a network that learns against the model, inherits from
    :class:`vaekit.objectives.Opposed` instead.

    Attributes
    ----------
    draws
        How many latents an example it draws, so that an evaluation takes fewer examples at a time.
    schedules
        The scalars that follow a schedule; :meth:`at` is called before every step where there are any.
    """

    traits: ObjectiveTraits = ObjectiveTraits()
    draws: int = 1
    schedules: Mapping[str, Schedule] = {}

    def __call__(self, model: Any, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective."""
        ...

    def check(self, model: Any) -> None:
        """Refuse a model that lacks what the objective needs; called when a sentence is built."""

    def equip(self, model: Any) -> None:
        """Change the model where the objective asks for it (a normalisation of weights); called after it is built."""

    def begin(self, *, rows: int) -> None:
        """Take note of the number of training rows; called once before training."""

    def count_labels(self, c: Tensor) -> None:
        """Take note of the conditions ``(n, d)`` of the training rows; called once before training."""

    def at(self, epochs_done: float) -> None:
        """Move scheduled scalars to their values after ``epochs_done`` epochs."""


class WrappedObjective(Objective):
    """Another objective, changed in one respect: everything but the call is the inner objective's. Abstract."""

    def __init__(self, inner: Objective) -> None:
        self.inner = inner
        self.traits, self.draws, self.schedules = inner.traits, inner.draws, inner.schedules

    def check(self, model: Any) -> None:
        """Check the model."""
        self.inner.check(model)

    def equip(self, model: Any) -> None:
        """Change the model."""
        self.inner.equip(model)

    def begin(self, *, rows: int) -> None:
        """Take note of the number of training rows."""
        self.inner.begin(rows=rows)

    def count_labels(self, c: Tensor) -> None:
        """Take note of the conditions."""
        self.inner.count_labels(c)

    def at(self, epochs_done: float) -> None:
        """Move scheduled scalars."""
        self.inner.at(epochs_done)


class _FunctionObjective(Objective):
    """A plain function as an objective."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, model: Any, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Call the function."""
        return self.function(model, x, c)


def as_objective(given: Any) -> Objective:
    """Return an objective as it is, and a plain function as one.

    Raises
    ------
    UsageError
        For an object that is neither.

    Examples
    --------
    >>> as_objective(lambda model, x, c=None: None).draws
    1
    """
    if Objective in type(given).__mro__:
        return given
    if not isinstance(given, FunctionType | MethodType | partial):
        raise UsageError(
            f"objective {type(given).__name__}: expected a function (model, x, c), or a class that inherits from "
            "vaekit.contracts.Objective, which has defaults for all but the call"
        )
    return _FunctionObjective(given)


def check_result(result: Any, objective: Any) -> ObjectiveResult:
    """Return an objective's result, or refuse one of another type.

    Raises
    ------
    UsageError
        For anything but an :class:`ObjectiveResult`.

    Examples
    --------
    >>> check_result(torch.zeros(3), "mine")
    Traceback (most recent call last):
    vaekit.errors.UsageError: objective str returned a Tensor; return vaekit.objectives.ObjectiveResult(bound,
    surrogate, reconstruction, kl, kl_per_dimension), each (batch,) in nats and the last None or (batch, latent)
    """
    if isinstance(result, ObjectiveResult):
        return result
    raise UsageError(
        f"objective {type(objective).__name__} returned a {type(result).__name__}; return "
        "vaekit.objectives.ObjectiveResult(bound, surrogate, reconstruction, kl, kl_per_dimension), each (batch,) in "
        "nats and the last None or (batch, latent)"
    )
