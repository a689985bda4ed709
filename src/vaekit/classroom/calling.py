"""Call a student's function: torch or NumPy, a function or a method, sizes fixed or free.

Runs in the checker's child process. What a function needs is tried out: first the kind of array that its code
names, then the other; first sizes of our choice, then those that its constants suggest (a hard-coded 784, a
global batch size). How its arguments are ordered is read from their names, or tried out too.
"""

import inspect
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaekit.classroom.roles import parameter_part

__all__ = ["Callee", "Kind", "UncallableError", "arrangements", "arrays_of", "find_sizes", "integers_of"]

Kind = str  # "torch" or "numpy"
Array = NDArray[np.float64]


class UncallableError(Exception):
    """No kind of array and no size was accepted; holds what the function said to the first choice."""


@dataclass
class Callee:
    """A student's function, ready to be called with NumPy arrays.

    Parameters
    ----------
    role, name
        What it is for, and what the file calls it.
    function
        The callable; a method is bound already.
    parameters
        The names of its positional parameters, without ``self``.
    required
        How many of them have no default.
    """

    role: str
    name: str
    function: Callable[..., Any]
    parameters: list[str] = field(default_factory=list)
    required: int = 0
    kind: Kind = "torch"

    @classmethod
    def of(cls, role: str, name: str, module: types.ModuleType) -> "Callee":
        function = _bind(name, module)
        try:
            signature = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            signature = ()
        positional = [p for p in signature if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        required = sum(p.default is p.empty for p in positional)
        return cls(role, name, function, [p.name for p in positional], required, _preferred_kind(function))

    def __call__(self, *arguments: Any) -> Any:
        """Call it with arrays turned into its kind; other arguments pass as they are."""
        return self.function(*(self._convert(argument) for argument in arguments))

    def with_gradients(self, *arguments: Any) -> tuple[Any, list[Any]]:
        """Call it with torch tensors that ask for gradients; give the result and the tensors."""
        import torch

        tensors = [
            torch.from_numpy(np.array(a)).requires_grad_() if isinstance(a, np.ndarray) else a
            for a in arguments
        ]
        return self.function(*tensors), tensors

    def _convert(self, argument: Any) -> Any:
        if self.kind == "torch" and isinstance(argument, np.ndarray):
            import torch

            return torch.from_numpy(np.array(argument))
        return np.array(argument) if isinstance(argument, np.ndarray) else argument


def _bind(name: str, module: types.ModuleType) -> Callable[..., Any]:
    if "." not in name:
        return getattr(module, name)
    class_name, method = name.split(".", 1)
    owner = getattr(module, class_name)
    if isinstance(inspect.getattr_static(owner, method), staticmethod | classmethod):
        return getattr(owner, method)
    return getattr(_instance(owner), method)


def _instance(owner: type) -> Any:
    """Make an object of a student's class, its own way where it needs no arguments."""
    try:
        return owner()
    except Exception:
        bare: Any = object.__new__(owner)
        if "torch" in sys.modules:
            from torch import nn

            if isinstance(bare, nn.Module):
                nn.Module.__init__(bare)
        return bare


def _codes(function: Callable[..., Any]) -> list[types.CodeType]:
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    codes = [code] if code is not None else []
    for outer in codes:
        codes += [constant for constant in outer.co_consts if isinstance(constant, types.CodeType)]
    return codes


def _globals(function: Callable[..., Any]) -> dict[str, Any]:
    known = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__globals__", {})
    return {name: known[name] for code in _codes(function) for name in code.co_names if name in known}


def _preferred_kind(function: Callable[..., Any], depth: int = 3) -> Kind:
    """NumPy where its code, or that of a function it calls, names NumPy and not torch."""
    used = _globals(function)
    origins = [
        getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in used.values()
    ]
    modules = [str(value.__name__) if isinstance(value, types.ModuleType) else str(o) for value, o in
               zip(used.values(), origins, strict=True)]  # fmt: skip
    if any(name.split(".")[0] == "torch" for name in modules):
        return "torch"
    if any(name.split(".")[0] in ("numpy", "scipy") for name in modules):
        return "numpy"
    inner = [value for value in used.values() if isinstance(value, types.FunctionType)]
    if depth and inner:
        return _preferred_kind(inner[0], depth - 1)
    return "torch" if "torch" in sys.modules and "student" in sys.modules else "numpy"


def integers_of(function: Callable[..., Any]) -> list[int]:
    """List the sizes that a function's code suggests: constants, globals, its object's attributes."""
    constants = [constant for code in _codes(function) for constant in code.co_consts]
    attributes = list(vars(getattr(function, "__self__", types.SimpleNamespace())).values())
    inner = [value for value in _globals(function).values() if isinstance(value, types.FunctionType)]
    nested = [c for f in inner for code in _codes(f) for c in code.co_consts]
    nested += [value for f in inner for value in _globals(f).values()]
    candidates = [*constants, *_globals(function).values(), *attributes, *nested]
    sizes = [c for c in candidates if isinstance(c, int) and not isinstance(c, bool) and 2 < c <= 20_000]
    return list(dict.fromkeys(sizes))[:5]


def find_sizes(
    callee: Callee, attempt: Callable[[Callee, int, int], Any], free: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Find sizes (batch, width) that the function accepts, and its kind of array (set on ``callee``).

    Raises
    ------
    UncallableError
        With what the function said to the first choice, if nothing is accepted.
    """
    known = integers_of(callee.function)
    ladder = [list(free)]
    ladder += [[(batch, width) for batch, _ in free] for width in known]
    ladder += [[(batch, width) for _, width in free] for batch in known]
    ladder += [[pair] for pair in product(known, known)]
    kinds = [callee.kind, "numpy" if callee.kind == "torch" else "torch"]
    first: BaseException | None = None
    for kind, sizes in product(kinds, ladder):
        if kind == "torch" and "torch" not in sys.modules:
            continue
        callee.kind = kind
        try:
            for batch, width in sizes:
                attempt(callee, batch, width)
        except (Exception, SystemExit) as error:
            if isinstance(error, PermissionError | MemoryError):
                raise
            first = first or error
        else:
            return sizes
    callee.kind = kinds[0]
    raise UncallableError(f"{type(first).__name__}: {first}") from first


def arrangements(callee: Callee, parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """List the orders in which the function may take its parts; one if the parameters' names tell.

    Each order names, per positional parameter to give, a part, or a filler: "one", "batch", "width".
    """
    names = callee.parameters[: max(callee.required, len(parts))]
    if len(names) < len(parts):
        raise UncallableError(
            f"it takes {len(names)} arguments, ({', '.join(names)}), and {len(parts)} are needed"
        )
    labels = [parameter_part(name) for name in names]
    fillers = [_filler(name, label, parts) for name, label in zip(names, labels, strict=True)]
    free = [i for i, filler in enumerate(fillers) if filler is None]
    if len(free) != len(parts):
        raise UncallableError(f"it takes ({', '.join(names)}), not only {' and '.join(parts)}")
    known = {i: labels[i] for i in free if labels[i] in parts and labels.count(labels[i]) == 1}
    orders = []
    for order in permutations(parts):
        whole = [filler or "" for filler in fillers]
        for i, part in zip(free, order, strict=True):
            whole[i] = part
        if all(whole[i] == part for i, part in known.items()):
            orders.append(tuple(whole))
    return orders


def _filler(name: str, label: str | None, parts: tuple[str, ...]) -> str | None:
    plain = name.replace("_", "").lower()
    if label in parts:
        return None
    if label == "weight" or plain in ("epoch", "step", "temperature"):
        return "one"
    if plain in ("batchsize", "bs", "n", "numsamples", "nsamples"):
        return "batch"
    if "dim" in plain or "size" in plain or "latent" in plain:
        return "width"
    return None


def arrays_of(result: Any) -> list[Array]:
    """Take a result apart: a tensor, a number, or a tuple or dictionary of them, as float64 arrays."""
    if isinstance(result, dict):
        ordered = sorted(result.items(), key=lambda item: "loss" not in str(item[0]).lower())
        return [array for _, value in ordered for array in arrays_of(value)]
    if isinstance(result, tuple | list):
        return [array for value in result for array in arrays_of(value)]
    if result is None:
        return []
    if hasattr(result, "detach"):
        result = result.detach().cpu().numpy()
    try:
        return [np.asarray(result, dtype=float)]
    except (TypeError, ValueError):
        return []
