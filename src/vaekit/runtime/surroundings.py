"""Torch's settings for a block: as in a fresh process, whatever the caller has set, and as before after it.

A model is trained, scored and sampled in float32 on the device that it was given. A caller may have set another
default type or device, may be inside ``torch.inference_mode``, ``torch.no_grad`` or ``torch.autocast``, in a thread
beside others, or in a process forked from one whose threads torch had used. None of these changes a number here:

=========================  ======================================================================================
setting of the caller      inside the block
=========================  ======================================================================================
default type               float32
default device             the CPU, from where models and rows go to the device that was asked for
``inference_mode``         off, so that weights can be trained and results be used in a gradient
``no_grad``                gradients are recorded; what needs none says so itself
``autocast``               off: products are in bfloat16 only by ``precision="bf16"``
after ``os.fork``          one thread, for torch's other threads are lost in a fork, and waiting for them never ends
=========================  ======================================================================================

``torch.use_deterministic_algorithms`` and the number of threads are the caller's, and stay.
"""

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast

import torch

from vaekit.runtime.first_imports import without_filters_of
from vaekit.runtime.processor import SharedSetting, single_thread

__all__ = ["in_usual_surroundings", "plain_arithmetic", "usual_surroundings"]

T = TypeVar("T", bound=type)

_default_type = SharedSetting(torch.get_default_dtype, torch.set_default_dtype)
_imported_in = os.getpid()


@contextmanager
def plain_arithmetic() -> Generator[None]:
    """Run a block, or a decorated function, without autocast and inference mode, and with gradients recorded.

    Examples
    --------
    >>> x = torch.full((1, 1), 1 / 3)
    >>> with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
    ...     with plain_arithmetic():
    ...         inside = x @ x
    ...     outside = x @ x
    >>> inside.dtype, inside.is_inference(), outside.dtype
    (torch.float32, False, torch.bfloat16)
    """
    with ExitStack() as stack:
        stack.enter_context(without_filters_of("sympy"))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def usual_surroundings() -> Generator[None]:
    """Run a block, or a decorated function, with torch's settings as in a fresh process.

    The default type is one of the process: threads that are in such a block share it, and the last one out puts it
    back.

    Examples
    --------
    >>> torch.set_default_dtype(torch.float64)
    >>> with usual_surroundings(), torch.device("meta"), usual_surroundings():
    ...     torch.zeros(1)
    tensor([0.])
    >>> torch.get_default_dtype()
    torch.float64
    >>> torch.set_default_dtype(torch.float32)
    """
    with ExitStack() as stack:
        stack.enter_context(plain_arithmetic())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_default_type.holding(torch.float32))
        if os.getpid() != _imported_in:
            stack.enter_context(single_thread())
        yield


def in_usual_surroundings(kind: T) -> T:
    """Decorate a class, so that each of its public methods (class methods apart) runs in :func:`usual_surroundings`.

    Examples
    --------
    >>> @in_usual_surroundings
    ... class Model:
    ...     def weights(self):
    ...         return torch.zeros(1).dtype
    >>> torch.set_default_dtype(torch.float16)
    >>> Model().weights()
    torch.float32
    >>> torch.set_default_dtype(torch.float32)
    """
    for name, method in list(vars(kind).items()):
        if callable(method) and not name.startswith("_"):
            setattr(kind, name, usual_surroundings()(cast(Callable[..., Any], method)))
    return kind
