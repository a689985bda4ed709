"""What moves with the epochs: the objective, and every module of the model that follows a schedule."""

from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["scheduled"]


def scheduled(objective: Any, model: nn.Module) -> list[Callable[[float], None]]:
    """Give the methods ``at(epochs_done)`` to call before every step.

    An objective or a module that has ``at`` is asked, unless its ``schedules`` are empty.

    Parameters
    ----------
    objective
        Of any kind.
    model
        All its modules are looked at.

    Examples
    --------
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.language.schedules import Schedule
    >>> objective = Elbo(beta=Schedule("linear", 0.0, 1.0, 10))
    >>> for at in scheduled(objective, nn.Linear(1, 1)):
    ...     at(5.0)
    >>> objective.beta, scheduled(Elbo(), nn.Linear(1, 1))
    (0.5, [])
    """
    movers: list[Any] = [thing for thing in (objective, *model.modules()) if hasattr(thing, "at")]
    return [thing.at for thing in movers if getattr(thing, "schedules", True)]
