"""torch's compiler: whether native code can be made here, and the reason where it cannot."""

import logging
import os
import shutil
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import torch

from vaekit.errors import TrainingWarning

__all__ = ["compile_graph", "has_compiler", "reason_of"]


def has_compiler() -> bool:
    """Return whether there is a C++ compiler, which native code for a CPU needs."""
    names = [os.environ.get("CXX"), "g++", "clang++", "cl"]
    return any(name is not None and shutil.which(name) is not None for name in names)


def compile_graph(
    function: FunctionType, backend: str | Callable[..., Any] = "inductor"
) -> Callable[..., Any]:
    """Return a function as one graph, compiled when it is first called, that draws what the function draws.

    Whatever goes wrong, from a cache that cannot be written to a compiler that is missing, goes wrong in a call.

    Parameters
    ----------
    function
        A fresh closure. It gets a code object of its own, since torch limits the number of graphs of one.
    backend
        The backend of torch's compiler.

    Warns
    -----
    TrainingWarning
        If the cache of compiled code cannot be read, and the function is compiled again.
    """
    function.__code__ = function.__code__.replace()
    options: dict[str, Any] | None = {"fallback_random": True} if backend == "inductor" else None
    compiled: Callable[..., Any] | None = None

    def call(*arguments: Any) -> Any:
        nonlocal compiled
        if compiled is not None:
            return compiled(*arguments)
        with _damage_of_the_cache() as damage:
            made = torch.compile(function, fullgraph=True, backend=backend, options=options)
            result = made(*arguments)
        if damage:
            warnings.warn(
                f"torch's cache of compiled code cannot be read ({damage[0]}), so that the code is compiled again; "
                "remove the cache, or set TORCHINDUCTOR_CACHE_DIR to another folder",
                TrainingWarning,
                stacklevel=2,
            )
        compiled = made
        return result

    return call


@contextmanager
def _damage_of_the_cache() -> Generator[list[str]]:
    """Collect the reasons why entries of the compiler's cache cannot be read, which it would print with tracebacks."""
    damage: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            damage.append(reason_of(record.exc_info[1]))
            return False
        return True

    logger = logging.getLogger("torch._inductor.codecache")
    logger.addFilter(keep)
    try:
        yield damage
    finally:
        logger.removeFilter(keep)


def reason_of(error: Any) -> str:
    """Return the first line of a compiler's error, after the name of its type.

    >>> reason_of(RuntimeError("no\\ncompiler"))
    'RuntimeError: no'
    """
    name = type(error).__name__
    return f"{name}: " + next((line.strip() for line in str(error).splitlines() if line.strip()), name)
