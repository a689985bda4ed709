"""torch's compiler: whether native code can be made here, and the reason where it cannot."""

import os
import shutil
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch

__all__ = ["compile_graph", "has_compiler", "reason_of"]


def has_compiler() -> bool:
    """Return whether there is a C++ compiler, which native code for a CPU needs."""
    names = [os.environ.get("CXX"), "g++", "clang++", "cl"]
    return any(name is not None and shutil.which(name) is not None for name in names)


def compile_graph(
    function: FunctionType, backend: str | Callable[..., Any] = "inductor"
) -> Callable[..., Any]:
    """Compile a function into one graph that draws the very numbers that the function draws uncompiled.

    Parameters
    ----------
    function
        A fresh closure. It gets a code object of its own, since torch limits the number of graphs of one.
    backend
        The backend of torch's compiler.
    """
    function.__code__ = function.__code__.replace()
    options: dict[str, Any] | None = {"fallback_random": True} if backend == "inductor" else None
    return torch.compile(function, fullgraph=True, backend=backend, options=options)


def reason_of(error: Any) -> str:
    """Return the first line of a compiler's error, after the name of its type.

    >>> reason_of(RuntimeError("no\\ncompiler"))
    'RuntimeError: no'
    """
    name = type(error).__name__
    return f"{name}: " + next((line.strip() for line in str(error).splitlines() if line.strip()), name)
