"""What to blame when a loss is not finite."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaekit.objectives import Objective
from vaekit.vae import VAE

__all__ = ["diagnose"]


@torch.no_grad()
def diagnose(
    model: VAE, objective: Objective, x: Tensor, c: Tensor | None = None, names: Sequence[str] | None = None
) -> str:
    """Say in a sentence which weights, term or columns make the loss of a batch not finite.

    Parameters
    ----------
    model, objective
        As they are at the step that failed.
    x, c
        ``(batch, *event)``, the examples of that step, and their condition.
    names
        Of the columns of ``x``, where they have some.
    """
    broken = [name for name, value in model.named_parameters() if not bool(value.isfinite().all())]
    if broken:
        cause = f"the weights {broken[0]} are no longer finite"
    else:
        result = objective(model, x, c)
        terms = {"reconstruction": result.reconstruction, "KL": result.kl, "bound": result.bound}
        bad = [name for name, value in terms.items() if not bool(value.isfinite().all())]
        cause = f"the {bad[0]} term overflowed" if bad else "the surrogate or its gradient overflowed"
    size = x.flatten(1).abs().amax(0)
    column = int(size.argmax())
    name = repr(names[column]) if names is not None and len(names) == len(size) else str(column)
    extreme = f"; column {name} holds the most extreme value of that batch, {float(size[column]):.4g} in scaled units"
    return cause + extreme + "; try a lower learning rate, and look for outliers in the data"
