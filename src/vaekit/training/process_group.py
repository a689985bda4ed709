"""The processes that a launcher such as torchrun started: their process group, and joining it for a run.

A launcher says in the environment who is who: ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, and where they meet,
``MASTER_ADDR`` and ``MASTER_PORT``. A group that is there already, of SLURM's, Ray's or one's own making, is
left as it is.
"""

import os
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from vaekit.errors import ProcessLostError, TrainingWarning, UsageError
from vaekit.language.settings import Launch
from vaekit.training.sharding import ranks_for
from vaekit.training.world import ALONE, World, others_may_be_lost

__all__ = ["from_rank_zero", "is_distributed", "joined", "process_group", "was_restarted"]

T = TypeVar("T")

_MEETING = timedelta(minutes=5)  # for all processes to come; VAEKIT_MEETING, in seconds, instead
_PATIENCE = timedelta(minutes=30)  # of the group itself: the run has its own
_STEP_PATIENCE = (
    50.0  # seconds without a word from the others in the middle of a step; VAEKIT_TIMEOUT instead
)
_LONG_PATIENCE = timedelta(minutes=30)  # for rank 0, while it reads data or writes files


def was_restarted() -> bool:
    """Return whether torchrun started this process again, after one of the run was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@contextmanager
def process_group() -> Generator[int]:
    """Join the processes that a launcher started, for a block, and give the rank in it: 0 where there is one process.

    Raises
    ------
    UsageError
        If the environment contradicts itself, or what another process was told.
    ProcessLostError
        If not all of them come.

    Examples
    --------
    >>> with process_group() as rank:
    ...     rank
    0
    """
    if not dist.is_available() or dist.is_initialized() or not _is_launched():
        yield dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        return
    rank, size = _number("RANK"), _number("WORLD_SIZE")
    if not 0 <= rank < size:
        raise UsageError(f"RANK={rank}, WORLD_SIZE={size}: ranks count from 0 to WORLD_SIZE - 1")
    if torch.cuda.is_available():
        torch.cuda.set_device(_number("LOCAL_RANK", default=rank % torch.cuda.device_count()))
    _meet(rank, size)
    try:
        yield rank
    finally:
        with suppress(RuntimeError):
            dist.destroy_process_group()


def _is_launched() -> bool:
    missing = [
        name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ
    ]
    if not missing:
        return _number("WORLD_SIZE") > 1
    if len(missing) < 3 and "RANK" not in missing:
        raise UsageError(
            f"RANK is in the environment, as for one of several processes, but {' and '.join(missing)} not; start them "
            "with torchrun, or unset RANK to train in one process"
        )
    return False


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name}={text!r} in the environment: a whole number is expected") from None


def _meet(rank: int, size: int) -> None:
    """Find the others: first where they meet, to compare what everybody was told, then each other."""
    patience = timedelta(seconds=float(os.environ.get("VAEKIT_MEETING", _MEETING.total_seconds())))
    address, port = os.environ["MASTER_ADDR"], _number("MASTER_PORT")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of its own workings
            keeps = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"  # or torchrun does
            store = TCPStore(address, port, None, keeps, patience, wait_for_workers=False)
            # torchrun may keep one store for all attempts, with the addresses of who is gone
            store = PrefixStore(f"vaekit/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
            told = _compare(store, rank, size, patience)
            if set(told) == {size}:
                dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    except (RuntimeError, OSError) as error:
        raise ProcessLostError(
            f"rank {rank} waited at {address}:{port} for all of {size} processes, up to "
            f"{patience.total_seconds():.0f} s, and not all came; start as many as WORLD_SIZE says, each with its own "
            "RANK and the same MASTER_ADDR and MASTER_PORT"
        ) from error
    for other, its_size in enumerate(told):
        if its_size != size:
            raise UsageError(
                f"rank {rank} was told of WORLD_SIZE={size} processes, and rank {other} of {its_size}; start all with "
                "the same"
            )


def _compare(store: Store, rank: int, size: int, patience: timedelta) -> list[int]:
    """Return the number of processes that each was told of, up to the first that was told of another number."""
    store.set(f"size/{rank}", str(size))
    told: list[int] = []
    for other in range(size):
        store.wait([f"size/{other}"], patience)
        told.append(int(store.get(f"size/{other}")))
        if told[-1] != size:
            break
    store.set(f"compared/{rank}", "")
    if rank == 0:  # who keeps the store stays until all have looked
        with suppress(RuntimeError):
            store.wait([f"compared/{other}" for other in range(len(told))], timedelta(seconds=5))
    return told


def is_distributed() -> bool:
    """Return whether there is a process group of more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def joined(device: torch.device, launch: Launch | None = None) -> Generator[World]:
    """Join the processes of an initialised process group, in groups of the run's own, which are destroyed after it.

    Parameters
    ----------
    device
        The device of the model: gradients go over NCCL where it is an accelerator of that kind, over gloo
        otherwise.
    launch
        The way in which processes share the work; None: each holds the whole model.

    Raises
    ------
    UsageError
        For networks that are to be spread over several processes, where there is one.
    """
    if not is_distributed():
        ranks_for(launch, 1)
        yield ALONE
        return
    rank, size = dist.get_rank(), dist.get_world_size()
    ranks = ranks_for(launch, size)
    patience = float(os.environ.get("VAEKIT_TIMEOUT", _STEP_PATIENCE))
    with others_may_be_lost(rank, size), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's, about its own workings
        if dist.get_backend() == dist.Backend.GLOO:
            dist.barrier()  # one that is gone is noticed at once here, and after minutes below
        control = dist.new_group(backend="gloo", timeout=_LONG_PATIENCE)
        backend = "nccl" if device.type == "cuda" else "gloo"
        steps = dist.new_group(backend=backend, timeout=timedelta(seconds=patience))
    world = ranks(rank, size, steps=steps, control=control)
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
    """Return what a function returns in rank 0 of a process group, or raise its error; call it where there is none."""
    if not is_distributed():
        return function()
    with joined(torch.device("cpu")) as world:
        return world.from_writer(function)
