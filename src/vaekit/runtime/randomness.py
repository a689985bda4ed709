"""Seeded randomness: torch's global generators are seeded for a block, and put back after it.

The generators are the process's, which threads share: a block of one thread would take its numbers from the stream
that another has just seeded. So blocks of several threads take turns. A long one (a training) lets others in between
its steps by :func:`give_way`, and goes on with its own stream afterwards.
"""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Stream", "give_way", "seeded"]


class _State(NamedTuple):
    """The state of torch's generators: the processor's, and those of the accelerators that are in use."""

    cpu: Tensor
    cuda: list[Tensor]

    @classmethod
    def now(cls) -> "_State":
        return cls(
            torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        )

    def put(self) -> None:
        torch.set_rng_state(self.cpu)
        for device, state in enumerate(self.cuda):
            torch.cuda.set_rng_state(state, device)


class _Turns:
    """The turns of threads to draw from torch's generators: each has its own for as many blocks as it is in."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.Lock())
        self.owner: int | None = None
        self.waiting = 0
        self.before: list[_State] = []  # what each block of the owner found

    def take(self) -> None:
        me = threading.get_ident()
        with self.changed:
            self.waiting += 1
            try:
                self.changed.wait_for(lambda: self.owner in (None, me))
                self.owner = me
            finally:
                self.waiting -= 1
                self.changed.notify_all()
        self.before.append(_State.now())

    def end(self) -> None:
        self.before.pop().put()
        if not self.before:
            self._release()

    def _release(self) -> None:
        with self.changed:
            self.owner = None
            self.changed.notify_all()

    def give_way(self) -> None:
        """Let one thread that waits have its turn, with the generators as they were before the outermost block."""
        if not self.waiting or self.owner != threading.get_ident():
            return
        mine, before = _State.now(), self.before
        before[0].put()
        self.before = []
        self._release()
        with self.changed:
            self.changed.wait_for(lambda: self.owner is not None or not self.waiting, timeout=1.0)
        self.take()
        before[0] = self.before[0]
        self.before = before
        mine.put()


_turns = _Turns()


def _begin_alone() -> None:
    """Take the turn of a thread that a fork has not copied."""
    global _turns
    _turns, here = _Turns(), _turns
    if here.owner == threading.get_ident():
        _turns.owner, _turns.before = here.owner, here.before


os.register_at_fork(after_in_child=_begin_alone)


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Run a block with torch's generators seeded, and restore their state after it.

    While one thread is in such a block, others wait to get into theirs.

    Parameters
    ----------
    seed
        Any whole number of at most 64 bits.

    Examples
    --------
    >>> with seeded(0):
    ...     first = torch.rand(2)
    >>> with seeded(0):
    ...     again = torch.rand(2)
    >>> torch.equal(first, again)
    True
    """
    _turns.take()
    try:
        torch.manual_seed(seed)
        yield
    finally:
        _turns.end()


def give_way() -> None:
    """Let a thread that waits for torch's generators have them; this block then goes on with its stream as it was.

    Costs nothing where none waits.

    Examples
    --------
    >>> with seeded(0):
    ...     expected = torch.rand(2)
    >>> with seeded(0):
    ...     first = torch.rand(1)
    ...     give_way()
    ...     torch.equal(torch.cat([first, torch.rand(1)]), expected)
    True
    """
    _turns.give_way()


class Stream:
    """One stream of random numbers, drawn from in several blocks, with torch's generators as before in between.

    Examples
    --------
    >>> with seeded(0):
    ...     expected = torch.rand(2)
    >>> stream = Stream(0)
    >>> with stream.drawing():
    ...     first = torch.rand(1)
    >>> with stream.drawing():
    ...     torch.equal(torch.cat([first, torch.rand(1)]), expected)
    True
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._state: _State | None = None

    @contextmanager
    def drawing(self) -> Generator[None]:
        """Run a block whose random numbers are the next of the stream."""
        with seeded(self._seed):
            if self._state is not None:
                self._state.put()
            yield
            self._state = _State.now()
