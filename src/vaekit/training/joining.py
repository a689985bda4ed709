"""Joining the processes of torch's process group for a run, and what happens where one of them is gone."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist

from vaekit.errors import TrainingWarning, UsageError
from vaekit.training.lost import others_may_be_lost
from vaekit.training.ranks import Ranks
from vaekit.training.sharded_ranks import ShardedRanks
from vaekit.training.world import ALONE, World

__all__ = ["from_rank_zero", "is_distributed", "joined"]

T = TypeVar("T")

_PATIENCE = 50.0  # seconds without a word from the others in the middle of a step; VAEKIT_TIMEOUT instead
_LONG_PATIENCE = timedelta(minutes=30)  # for rank 0, while it reads data or writes files


def is_distributed() -> bool:
    """Whether there is a process group of more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def joined(device: torch.device, *, shard: bool = False) -> Iterator[World]:
    """Join the processes of an initialised process group, in groups of the run's own, which are destroyed after it.

    Parameters
    ----------
    device
        Of the model: gradients go over NCCL where it is an accelerator of that kind, and over gloo otherwise.
    shard
        Whether each is to hold a share of the networks alone.

    Raises
    ------
    UsageError
        For ``shard`` where there is one process.
    """
    if not is_distributed():
        if shard:
            raise UsageError(
                "--shard (shard=True) spreads a model over several processes, and this is one; start them with "
                "torchrun --nproc-per-node N, or leave it out"
            )
        yield ALONE
        return
    rank, size = dist.get_rank(), dist.get_world_size()
    patience = float(os.environ.get("VAEKIT_TIMEOUT", _PATIENCE))
    with others_may_be_lost(rank, size), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's, about its own workings
        if dist.get_backend() == dist.Backend.GLOO:
            dist.barrier()  # one that is gone is noticed at once here, and after minutes below
        control = dist.new_group(backend="gloo", timeout=_LONG_PATIENCE)
        backend = "nccl" if device.type == "cuda" else "gloo"
        steps = dist.new_group(backend=backend, timeout=timedelta(seconds=patience))
    world = (ShardedRanks if shard else Ranks)(rank, size, steps=steps, control=control)
    lost = False
    try:
        with warnings.catch_warnings():
            if not world.is_writer:
                warnings.simplefilter("ignore", TrainingWarning)
            yield world
    except BaseException:
        lost = True
        raise
    finally:
        for group in (control,) if lost and backend == "nccl" else (control, steps):
            with suppress(RuntimeError):  # NCCL would wait for whoever is gone
                dist.destroy_process_group(cast(dist.ProcessGroup, group))


def from_rank_zero(function: Callable[[], T]) -> T:
    """What a function gives in rank 0 of an initialised process group, or its error; what it gives, without one."""
    if not is_distributed():
        return function()
    with joined(torch.device("cpu")) as world:
        return world.from_writer(function)
