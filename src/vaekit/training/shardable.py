"""Which models can be sharded."""

from torch import nn

from vaekit.errors import UsageError
from vaekit.objectives import Objective
from vaekit.training.opponent import has_opponent
from vaekit.vae import VAE

__all__ = ["require_shardable"]

_LEAVE_OUT = "such a model cannot be sharded; leave --shard out (shard=False)"


def require_shardable(model: VAE, objective: Objective) -> None:
    """Refuse what needs the networks' whole weights outside of a call of theirs.

    Raises
    ------
    UsageError
        For a posterior that differentiates the decoder for its draws, an objective that looks into the networks or has
        a second player, and networks that share parameters.
    """
    names: dict[nn.Parameter, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        first = names.setdefault(parameter, name)
        if first != name:
            raise UsageError(
                f"{first} and {name} are one parameter, and a shard lies in one place: {_LEAVE_OUT}"
            )
    if "log_joint" in model.posterior_part.traits.needs:
        raise UsageError(
            f"the posterior differentiates the decoder for its draws, which takes whole weights: {_LEAVE_OUT}"
        )
    if objective.traits.reaches_into_networks:
        raise UsageError(f"the objective looks into the networks, which takes whole weights: {_LEAVE_OUT}")
    if has_opponent(objective):
        raise UsageError(
            f"the objective has a second player, which plays against whole weights: {_LEAVE_OUT}"
        )
