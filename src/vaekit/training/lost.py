"""A process of the run that is gone, as the others learn of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from vaekit.errors import ProcessLostError, VaekitError

__all__ = ["others_may_be_lost"]


@contextmanager
def others_may_be_lost(rank: int, size: int) -> Iterator[None]:
    """Turn what a group says of a process that is gone into an error that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, VaekitError):
            raise
        reason = next(
            (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise ProcessLostError(
            f"rank {rank} of {size}: another process of the run is gone or does not answer, so this one ends "
            f"({reason}); to go on from the last checkpoint, start all processes again with --resume"
        ) from error
