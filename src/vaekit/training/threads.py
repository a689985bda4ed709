"""How many threads a training step is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from vaekit.objectives import Objective
from vaekit.training.work import multiplications
from vaekit.vae import VAE

__all__ = ["threads_for"]

_WORTH_SHARING = 10_000_000  # multiply-adds of a forward pass


@contextmanager
def threads_for(model: VAE, objective: Objective, batch_size: int) -> Iterator[None]:
    """Run a block on one thread where a step is too small to share, and restore the number after it.

    Threads that wait for each other at the end of every small product cost more than they bring, and on a
    busy machine twenty times as much: the one that was put aside holds up the rest.

    Examples
    --------
    >>> from vaekit.objectives import Elbo
    >>> from vaekit.sentence import Sentence, build_vae
    >>> model = build_vae(Sentence.parse(network="mlp"), (3,), latent=2)
    >>> before = torch.get_num_threads()
    >>> with threads_for(model, Elbo(), batch_size=16):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    before = torch.get_num_threads()
    work = multiplications(model, objective, batch_size)
    shares = any(isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) for module in model.modules())
    if work < _WORTH_SHARING and not shares:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
