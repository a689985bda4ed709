r"""Networks whose parameters are spread over the processes that train them: torch's fully sharded data parallelism.

Every rank holds a :math:`w`-th of each weight of encoder, decoder and classifier, of its gradient, and of what the
optimiser keeps for it, as a ``DTensor``. A layer's weights are put together where the layer is called, once forward and
once backward, and its gradient is summed into the shards (Rajbhandari et al., 2020, "ZeRO", stage 3; Zhao et al., 2023,
"PyTorch FSDP"). Posterior, prior and likelihood, whose parameters distributions hold on to, stay whole in every rank.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from torch import Tensor, nn

from vaekit.vae import VAE

__all__ = ["is_sharded", "local_part", "placed_like", "shard", "whole"]

_NETWORKS = ("encoder", "decoder", "classifier")
_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_LARGE = 2**16  # parameters of a layer that travels alone; smaller ones go with the rest of their network


def is_sharded(value: Tensor) -> bool:
    """Whether a tensor is a shard, with what it takes to find the others.

    >>> import torch
    >>> is_sharded(torch.ones(2))
    False
    """
    return hasattr(value, "placements")


def local_part(value: Tensor) -> Tensor:
    """What of a tensor is in this process, in the same memory: all of it, unless it is sharded.

    >>> import torch
    >>> local_part(torch.ones(2))
    tensor([1., 1.])
    """
    return value.to_local() if is_sharded(value) else value  # type: ignore[attr-defined]


def whole(value: Tensor) -> Tensor:
    """The tensor that a shard is one of; all ranks must ask.

    >>> import torch
    >>> whole(torch.ones(2))
    tensor([1., 1.])
    """
    return value.full_tensor() if is_sharded(value) else value  # type: ignore[attr-defined]


def placed_like(value: Tensor, other: Tensor) -> Tensor:
    """This rank's shard of a whole tensor, where the other one is sharded; nothing is sent."""
    if is_sharded(value) or not is_sharded(other):
        return value
    from torch.distributed.tensor import distribute_tensor

    layout: Any = other
    return distribute_tensor(
        value.to(layout.device), layout.device_mesh, layout.placements, src_data_rank=None
    )


def shard(model: VAE, group: Any) -> VAE:
    """Copy a model, and spread the copy's networks over the processes of a group; gradients are summed."""
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
    for name in _NETWORKS:
        if name in model.parts and any(True for _ in model.parts[name].parameters()):
            yield model.parts[name]


def _large_layers(network: nn.Module) -> Iterable[nn.Module]:
    """Layers to put together one at a time; none of networks whose code may reach for a layer's weights itself."""
    if any(type(module).__module__.split(".")[0] not in ("torch", "vaekit") for module in network.modules()):
        return []
    return [
        module
        for module in network.modules()
        if module is not network
        and type(module) in _LAYERS
        and sum(parameter.numel() for parameter in module.parameters()) >= _LARGE
    ]
