r"""Networks that are spread over the processes that train them: torch's fully sharded data parallelism.

Every rank holds a :math:`w`-th of each weight of encoder, decoder and classifier, of its gradient, and of
what the optimiser keeps for it, as a ``DTensor``. A layer's weights are put together where the layer is
called, once forward and once backward, and its gradient is summed into the shards (Rajbhandari et al., 2020,
"ZeRO", stage 3; Zhao et al., 2023, "PyTorch FSDP"). Posterior, prior and likelihood, whose parameters
distributions hold on to, stay whole in every rank.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

from vaekit.errors import UsageError
from vaekit.language.settings import Launch
from vaekit.objectives import Opposed
from vaekit.runtime.spread import is_spread, local_part, whole
from vaekit.training.optimizing import global_norm
from vaekit.training.ranks import Ranks
from vaekit.training.setup import RunSetup
from vaekit.training.world import others_may_be_lost
from vaekit.vae import VAE

__all__ = ["ShardedRanks", "check_launch", "ranks_for"]

_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_LARGE = 2**16  # parameters of a layer that travels alone; smaller ones go with the rest of their network
_LEAVE_OUT = "such a model cannot be sharded; leave shard=True out"


class ShardedRanks(Ranks):
    """Several processes that hold a share of the model each; see :class:`vaekit.training.world.World`."""

    holds_all = False

    def spread(self, model: VAE, average: VAE | None) -> tuple[VAE, VAE | None]:
        """Return the model, and the average of its weights, with this rank's shards of the networks."""
        shards = None if average is None else _shard(average, self._steps)
        return super().spread(_shard(model, self._steps), shards)

    @contextmanager
    def _sharing(self, model: VAE) -> Generator[None]:
        """Draw the whole batch's noise; weights come and gradients go in such a block."""
        with others_may_be_lost(self.rank, self.size, computing=True), super()._sharing(model):
            yield

    def norm(self, gradients: list[Tensor]) -> Tensor:
        """Return the norm of the gradient, of which this rank has its shards and all that is whole."""
        here = global_norm([gradient for gradient in gradients if not is_spread(gradient)])
        shards = global_norm([local_part(gradient) for gradient in gradients if is_spread(gradient)]).square()
        with self._others_may_be_lost():
            dist.all_reduce(shards, group=self._steps)
        return (here.square() + shards).sqrt()

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """Put tensors together in the host's memory, one after the other: in rank 0, or in every rank."""
        found: dict[str, Tensor] = {}
        with self._others_may_be_lost():
            for name, value in tensors.items():
                if not is_spread(value):
                    found[name] = value
                    continue
                together = whole(value)
                if everywhere or self.is_writer:
                    found[name] = together.cpu()
        return found


def ranks_for(launch: Launch | None, processes: int) -> type[Ranks]:
    """Return the kind of ranks that share the work in the way that is asked for.

    Raises
    ------
    UsageError
        For networks that are to be spread over several processes, where there is one.
    """
    if launch is None or not launch.shard:
        return Ranks
    if processes == 1:
        raise UsageError(
            "shard=True spreads a model over several processes, and this is one; start them with "
            "torchrun --nproc-per-node N, or leave it out"
        )
    return ShardedRanks


def check_launch(setup: RunSetup, launch: Launch | None) -> None:
    """Refuse a run that processes cannot share in the way that is asked for.

    Networks that are spread cannot be asked for their whole weights outside of a call of theirs.

    Raises
    ------
    UsageError
        For a posterior that differentiates the decoder for its draws, an objective that looks into the
        networks or has a second player, networks that share parameters, and an optimiser of whole weights to
        go on with.
    """
    if launch is None or not launch.shard:
        return
    model, objective = setup.model, setup.objective
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
    if isinstance(objective, Opposed):
        raise UsageError(
            f"the objective has a second player, which plays against whole weights: {_LEAVE_OUT}"
        )
    if setup.progress.optimizer is not None:
        raise UsageError("shard does not go with an optimiser to go on with; leave one of them out")


def _shard(model: VAE, group: Any) -> VAE:
    """Return a copy of a model whose networks are spread over the processes of a group; gradients are summed."""
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    copy = deepcopy(model)
    device = next(model.parameters()).device.type
    # torch remembers by a mesh's names how things are sharded: those of a run before, whose group is gone, among them
    mesh = DeviceMesh.from_group(group, device, mesh_dim_names=(f"group {group.group_name}",))
    for network in _networks(copy):
        for module in (*_large_layers(network), network):
            fully_shard(module, mesh=mesh, reshard_after_forward=True)
        for module in network.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)
    return copy


def _networks(model: VAE) -> Iterator[nn.Module]:
    for network in (model.encoder, model.decoder, model.classifier):
        if network is not None and any(True for _ in network.parameters()):
            yield network


def _large_layers(network: nn.Module) -> Iterable[nn.Module]:
    """Return the layers to put together one at a time; none of networks whose code may use a layer's weights itself."""
    if any(type(module).__module__.split(".")[0] not in ("torch", "vaekit") for module in network.modules()):
        return []
    return [
        module
        for module in network.modules()
        if module is not network
        and type(module) in _LAYERS
        and sum(parameter.numel() for parameter in module.parameters()) >= _LARGE
    ]
