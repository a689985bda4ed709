"""The precision in which networks multiply: a choice for a block, put back after it.

Weights, densities, gradients and the optimiser stay in float32 whatever is chosen. Only the products of the
networks (encoder, decoder, classifier) are taken in

* ``float32``;
* ``tf32``: NVIDIA's, with 10 bits of mantissa, on its cards alone;
* ``bf16``: bfloat16, with 7 bits, summed in float32; about twice as fast on processors and cards that have it.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.errors import UsageError
from vaekit.language.settings import Precision

__all__ = ["NetworkPrecision"]


class NetworkPrecision:
    """The precision of some networks' products; used with :meth:`chosen`, again and again.

    In ``bf16`` each network's ``forward`` is replaced within the block by one that multiplies in bfloat16 and
    returns the type that it was given. The replacement is made once, so that a compiled step is not compiled
    again.

    Parameters
    ----------
    networks
        On one device. One that is there twice is taken once.
    precision
        ``float32``, ``tf32`` or ``bf16``.

    Raises
    ------
    UsageError
        If the device has no such products.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> with NetworkPrecision([network], "bf16").chosen():
    ...     inside = network(torch.ones(1, 2))
    >>> inside.dtype, bool(inside == network(torch.ones(1, 2)))
    (torch.float32, False)
    >>> NetworkPrecision([network], "tf32")
    Traceback (most recent call last):
    vaekit.errors.UsageError: precision=tf32 is for NVIDIA cards, and the model is on cpu; choose float32 or bf16
    """

    def __init__(self, networks: Iterable[nn.Module], precision: Precision) -> None:
        unique = list(dict.fromkeys(networks))
        parameter = next((parameter for network in unique for parameter in network.parameters()), None)
        device = "cpu" if parameter is None else parameter.device.type
        if precision == "tf32" and device != "cuda":
            raise UsageError(
                f"precision=tf32 is for NVIDIA cards, and the model is on {device}; choose float32 or bf16"
            )
        self._tf32 = precision == "tf32"
        self._replaced = [(n, _in_bfloat16(n.forward)) for n in unique] if precision == "bf16" else []

    @contextmanager
    def chosen(self) -> Generator[None]:
        """Multiply in this precision within a block, and put things back after it."""
        before = torch.backends.cuda.matmul.fp32_precision
        own = [vars(network).get("forward") for network, _ in self._replaced]
        try:
            for network, forward in self._replaced:
                vars(network)["forward"] = forward
            if self._tf32:
                torch.backends.cuda.matmul.fp32_precision = "tf32"
            yield
        finally:
            torch.backends.cuda.matmul.fp32_precision = before
            for (network, _), forward in zip(self._replaced, own, strict=True):
                del vars(network)["forward"]
                if forward is not None:
                    vars(network)["forward"] = forward


def _in_bfloat16(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def multiply(value: Tensor, *more: Any) -> Tensor:
        with torch.autocast(value.device.type, torch.bfloat16):
            features = forward(value, *more)
        return features.to(value.dtype)

    return multiply
