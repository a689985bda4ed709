"""A process of the run that is gone, as the others learn of it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed as dist

from vaekit.errors import ProcessLostError, VaekitError

__all__ = ["others_may_be_lost"]


@contextmanager
def others_may_be_lost(rank: int, size: int, *, computing: bool = False) -> Iterator[None]:
    """Turn what a group says of a process that is gone into an error that says what to do.

    Where the block computes as well, an error counts if it is one of torch's distributed package or names what
    carries its messages.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, VaekitError) or (computing and not _is_of_a_group(error)):
            raise
        reason = next(
            (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise ProcessLostError(
            f"rank {rank} of {size}: another process of the run is gone or does not answer, so this one ends "
            f"({reason}); to go on from the last checkpoint, start all processes again with --resume"
        ) from error


def _is_of_a_group(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in ("gloo", "nccl"))
