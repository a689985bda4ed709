"""What moves with the epochs: the objective, and every module of the model that follows a schedule."""

from collections.abc import Callable

from torch import nn

from vaekit.contracts import Objective
from vaekit.language.schedules import Annealed

__all__ = ["scheduled"]


def scheduled(objective: Objective | None, model: nn.Module) -> list[Callable[[float], None]]:
    """Give the methods ``at(epochs_done)`` to call before every step.

    Those of the objective and of every module of the model, where their ``schedules`` are not empty; an objective
    that is no :class:`~vaekit.language.schedules.Annealed` is always told.

    Parameters
    ----------
    objective
        None: only the modules are looked at.
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
    movers: list[Callable[[float], None]] = []
    if objective is not None and (objective.schedules or not isinstance(objective, Annealed)):
        movers = [objective.at]
    return movers + [part.at for part in model.modules() if isinstance(part, Annealed) and part.schedules]
