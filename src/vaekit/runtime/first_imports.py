"""Libraries that are imported when they are first needed, and what such an import changes in the process."""

import os
import random
import sys
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module

__all__ = ["import_quietly", "without_filters_of"]

_LOCK = threading.Lock()


def import_quietly(*names: str) -> None:
    """Import libraries, and put back what that changes: environment variables, warning filters, Python's random state.

    A caller finds these as they were, though torch's optimisers import its compiler (which sets a variable for its
    cache and brings a library with a filter of its own), and scikit-learn's mixtures one that draws a random number.
    Where all of them are imported already, nothing is done.

    Examples
    --------
    >>> before = dict(os.environ), random.getstate()
    >>> import_quietly("sklearn.mixture", "torch._dynamo")
    >>> before == (dict(os.environ), random.getstate()), "torch._dynamo" in sys.modules
    (True, True)
    """
    if all(name in sys.modules for name in names):
        return
    with _LOCK:
        variables, filters, state = dict(os.environ), list(warnings.filters), random.getstate()
        try:
            for name in names:
                import_module(name)
        finally:
            for name in set(os.environ) - set(variables):
                del os.environ[name]
            os.environ.update(variables)
            warnings.filters[:] = filters  # type: ignore[index]
            random.setstate(state)


@contextmanager
def without_filters_of(library: str) -> Generator[None]:
    """Run a block in which a library may be imported for the first time, and remove the warning filters that it brings.

    Torch imports SymPy, of which nothing is needed here, where it first broadcasts more than two shapes: in its
    multivariate normal distribution, say. Where the library is imported already, nothing is done.

    Examples
    --------
    >>> before = list(warnings.filters)
    >>> with without_filters_of("sympy"):
    ...     import sympy
    >>> before == warnings.filters
    True
    """
    if library in sys.modules:
        yield
        return
    try:
        yield
    finally:
        if library in sys.modules:
            kept = [entry for entry in warnings.filters if entry[2].__module__.partition(".")[0] != library]
            warnings.filters[:] = kept  # type: ignore[index]
