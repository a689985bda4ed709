"""Validation by all ranks together."""

import torch
from torch import Tensor

from vaekit.contracts import WrappedObjective
from vaekit.objectives import Objective, ObjectiveResult
from vaekit.training.world import World
from vaekit.vae import VAE

__all__ = ["SharedObjective"]


class SharedObjective(WrappedObjective):
    """An objective of which every rank evaluates its slice, and knows the results of all."""

    def __init__(self, objective: Objective, ranks: World) -> None:
        super().__init__(objective)
        self._ranks = ranks

    def __call__(self, model: VAE, x: Tensor, c: Tensor | None = None) -> ObjectiveResult:
        """Evaluate the objective."""
        rows = self._ranks.mine(torch.arange(len(x), device=x.device))
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        with self._ranks.sharing(model):
            result = self.inner(model, x[part], None if c is None else c[part])
        columns = [result.bound, result.surrogate, result.reconstruction, result.kl]
        table = torch.stack(columns, 1)
        if result.kl_per_dimension is not None:
            table = torch.cat([table, result.kl_per_dimension.flatten(1)], 1)
        table = self._ranks.gather(table)
        each = (
            None
            if result.kl_per_dimension is None
            else table[:, 4:].unflatten(1, result.kl_per_dimension.shape[1:])
        )
        bound, surrogate, reconstruction, kl = table[:, :4].unbind(1)
        return ObjectiveResult(bound, surrogate, reconstruction, kl, each)
