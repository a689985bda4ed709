"""Call a student's function, whether it uses torch or NumPy, is a function or a method, or has fixed sizes.

This runs in the checker's child process. Kinds of array and sizes are tried in turn: first the kind of array that the
function's code uses, then the other; first chosen sizes, then sizes that its constants suggest (a hard-coded 784, a
global batch size). The order of its arguments is read from their names, or tried out too.
"""

import inspect
import math
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vaekit.classroom.roles import parameter_part

__all__ = ["Callee", "SignatureError", "UncallableError", "Way", "arrays_of", "find_sizes", "ways_to_call"]

Kind = Literal["torch", "numpy"]
Array = NDArray[np.float64]
Sizes = list[tuple[int, int]]  # (batch, width) of each call
PIXELS = (784, 1024, 2352, 3072, 4096, 12288)  # sizes of images, never of batches


@dataclass(frozen=True)
class Way:
    """One way to call a function: what each argument is, and the sizes to try in turn."""

    order: tuple[str, ...]
    ladder: tuple[Sizes, ...]
    images: bool = False  # pass reconstructions and data as (batch, 3, side, side)

    def arguments(self, given: dict[str, Array], batch: int, width: int) -> list[Any]:
        """Return the arguments in order: the given parts, (batch, width) each, and fillers such as a weight of 1."""
        side = math.isqrt(width // 3)
        values: dict[str, Any] = {**given, "one": 1.0, "batch": batch, "width": width}
        for part in ("reconstruction", "data"):
            if self.images and part in given:
                values[part] = given[part].reshape(batch, 3, side, side)
        return [values[part] for part in self.order]


class UncallableError(Exception):
    """The function accepted no kind of array and no size; the text is its error for the first choice."""


class SignatureError(UncallableError):
    """The function takes other arguments than its role needs."""


@dataclass
class Callee:
    """A student's function, to be called with NumPy arrays.

    Parameters
    ----------
    role, name
        Its role, and its name in the file.
    function
        The callable; a method is bound to an object.
    parameters
        The names of its positional parameters, without ``self``.
    required
        How many of them have no default.
    kind
        "torch" or "numpy": the arrays it is called with.
    variadic
        Whether it takes ``*arguments``.
    """

    role: str
    name: str
    function: Callable[..., Any]
    parameters: list[str] = field(default_factory=list)
    required: int = 0
    kind: Kind = "torch"
    variadic: bool = False

    @classmethod
    def of(cls, role: str, name: str, module: types.ModuleType) -> "Callee":
        """Find the function, or the method ``Class.method``, in a module."""
        function = _bind(name, module)
        try:
            signature = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            signature = ()
        positional = [p for p in signature if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        required = sum(p.default is p.empty for p in positional)
        names, variadic = [p.name for p in positional], any(p.kind is p.VAR_POSITIONAL for p in signature)
        return cls(role, name, function, names, required, _preferred_kind(function), variadic)

    def parameter(self, way: Way, part: str) -> str:
        """Return the name of the parameter for a part such as "mean", or "" where it has no name."""
        index = way.order.index(part)
        return self.parameters[index] if index < len(self.parameters) else ""

    def __call__(self, *arguments: Any) -> Any:
        """Call the function with arrays converted to its kind; other arguments stay as they are."""
        return self.function(*(self._convert(argument) for argument in arguments))

    def with_gradients(self, *arguments: Any) -> tuple[Any, list[Any]]:
        """Call the function with torch tensors that record gradients; return the result and the tensors."""
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
    """Return an object of a student's class, without running its constructor if that needs arguments."""
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
    """Return "numpy" if the code of the function, or of one that it calls, uses NumPy and not torch."""
    used = _globals(function)
    modules = [_origin(value) for value in used.values()]
    if any(name.split(".")[0] == "torch" for name in modules):
        return "torch"
    if any(name.split(".")[0] in ("numpy", "scipy") for name in modules):
        return "numpy"
    inner = [value for value in used.values() if isinstance(value, types.FunctionType)]
    if depth and inner:
        return _preferred_kind(inner[0], depth - 1)
    return "torch" if "torch" in sys.modules and "student" in sys.modules else "numpy"


def _origin(value: Any) -> str:
    """Return the name of the module that a value is or was defined in."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    return str(getattr(value, "__module__", None) or type(value).__module__)


def _integers_of(function: Callable[..., Any]) -> list[int]:
    """Return sizes found in the constants and globals of a function's code and in its object's attributes."""
    constants = [constant for code in _codes(function) for constant in code.co_consts]
    attributes = list(vars(getattr(function, "__self__", types.SimpleNamespace())).values())
    inner = [value for value in _globals(function).values() if isinstance(value, types.FunctionType)]
    nested = [c for f in inner for code in _codes(f) for c in code.co_consts]
    nested += [value for f in inner for value in _globals(f).values()]
    candidates = [*constants, *_globals(function).values(), *attributes, *nested]
    # Python folds 128 * 784 into one constant.
    products = [(c, p) for c in constants for p in PIXELS if isinstance(c, int) and c > p and c % p == 0]
    candidates += [n for c, p in products for n in (p, c // p)]
    sizes = [c for c in candidates if isinstance(c, int) and not isinstance(c, bool) and 2 < c <= 20_000]
    return list(dict.fromkeys(sizes))[:5]


def find_sizes(callee: Callee, attempt: Callable[[Callee, int, int], Any], ladder: Sequence[Sizes]) -> Sizes:
    """Return the first sizes of the ladder that the function accepts, and set ``callee.kind`` to its arrays.

    Raises
    ------
    UncallableError
        If it accepts none; with its error for the first choice.
    """
    kinds: list[Kind] = [callee.kind, "numpy" if callee.kind == "torch" else "torch"]
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


def ways_to_call(callee: Callee, parts: tuple[str, ...], free: Sizes) -> list[Way]:
    """Return the ways to call a function, the likeliest first.

    The order of the arguments is read from the parameters' names; where they leave it open, every order is tried.
    The sizes are first ``free``; then those that the function's constants suggest, because a division by a
    hard-coded batch size is right only for batches of that size.

    Raises
    ------
    SignatureError
        If the function does not take these parts.
    """
    known = _integers_of(callee.function)
    wide = [[(batch, width) for batch, _ in free] for width in known]
    tall = [[(batch, width) for _, width in free] for batch in known if batch not in PIXELS]
    pairs = [[pair] for pair in product(known, known) if pair[0] not in PIXELS]
    orders = _orders(callee, parts)
    ways = [Way(order, (free, *wide, *tall, *pairs)) for order in orders]
    if len(orders) <= 2:
        ways += [Way(order, (sizes,)) for order in orders for sizes in [*tall, *pairs]]
    if "reconstruction" in parts and len(orders) <= 2:
        ways += [Way(order, ([(5, 12), (4, 27), (6, 48)],), images=True) for order in orders]
    return ways


def _orders(callee: Callee, parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the possible orders of its parts and of fillers ("one", "batch", "width")."""
    names = callee.parameters[: max(callee.required, len(parts))]
    if len(names) < len(parts):
        if callee.variadic and not names:
            return [parts]
        raise SignatureError(f"it takes ({', '.join(names)}), and {' and '.join(parts)} are needed")
    labels = [parameter_part(name) for name in names]
    fillers = [_filler(name, label, parts) for name, label in zip(names, labels, strict=True)]
    free = [i for i, filler in enumerate(fillers) if filler is None]
    if len(free) != len(parts):
        raise SignatureError(f"it takes ({', '.join(names)}), not only {' and '.join(parts)}")
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


def _losses_first(item: tuple[object, Any]) -> bool:
    return "loss" not in str(item[0]).lower()


def arrays_of(result: Any) -> list[Array]:
    """Return a result (a tensor, a number, or a tuple or dictionary of them) as a list of float64 arrays."""
    if isinstance(result, dict):
        ordered = sorted(result.items(), key=_losses_first)
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
