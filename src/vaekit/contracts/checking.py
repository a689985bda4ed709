"""The check of a part, when it is registered and when a model is composed."""

import difflib
from dataclasses import fields
from typing import Any

from vaekit.contracts.objective import Objective
from vaekit.contracts.protocols import Likelihood, Network, Posterior, Prior
from vaekit.contracts.traits import (
    LikelihoodTraits,
    NetworkTraits,
    ObjectiveTraits,
    PosteriorTraits,
    PriorTraits,
)
from vaekit.errors import UsageError

__all__ = ["check_part"]

_TRAITS: dict[str, type] = {
    "posterior": PosteriorTraits,
    "prior": PriorTraits,
    "likelihood": LikelihoodTraits,
    "network": NetworkTraits,
    "objective": ObjectiveTraits,
}
_PROTOCOLS: dict[str, Any] = {
    "posterior": Posterior,
    "prior": Prior,
    "likelihood": Likelihood,
    "network": Network,
    "objective": Objective,
}


def check_part(room: str, part: Any) -> None:
    """Refuse a part, or the class of one, that does not keep its contract.

    Parameters
    ----------
    room
        ``posterior``, ``prior``, ``likelihood``, ``network`` or ``objective``.
    part
        The part, or its class; of a class, only the attributes that a class can have are checked.

    Raises
    ------
    UsageError
        With the missing or misplaced attribute, the nearest one that exists, and what to write.

    Examples
    --------
    >>> class Mine(Prior):
    ...     need_density = True
    >>> check_part("prior", Mine)
    Traceback (most recent call last):
    vaekit.errors.UsageError: prior Mine: 'need_density' is no attribute of a prior; did you mean the trait
    'needs_density'? Write traits = PriorTraits(needs_density=...)
    """
    kind = part if isinstance(part, type) else type(part)
    protocol, traits = _PROTOCOLS[room], _TRAITS[room]
    name = f"{room} {kind.__name__}"
    _refuse_stray_flags(name, room, kind, traits)
    members = dict.fromkeys([*protocol.__annotations__, *(m for m in vars(protocol) if m[0] != "_")])
    offered = set(dir(part))
    wanted = [
        m for m in members if not (isinstance(part, type) and m in protocol.__annotations__ and m != "traits")
    ]
    for member in wanted:
        if member in offered:
            continue
        near = difflib.get_close_matches(member, [m for m in offered if m[0] != "_"], n=1, cutoff=0.75)
        there = f" (there is {near[0]!r})" if near else ""
        raise UsageError(
            f"{name} has no {member!r}{there}: a {room} inherits from vaekit.contracts.{protocol.__name__}, which has "
            f"defaults, and says {_required(protocol)}"
        )
    if not isinstance(part.traits, traits):
        raise UsageError(f"{name}: traits={part.traits!r}; expected a vaekit.contracts.{traits.__name__}")


def _required(protocol: Any) -> str:
    names = [name for name in protocol.__annotations__ if name not in vars(protocol)]
    return " and ".join(names) if names else "nothing more"


def _refuse_stray_flags(name: str, room: str, kind: type, traits: Any) -> None:
    """Refuse class attributes that are named like traits outside ``traits``, where nothing reads them."""
    known = [field.name for field in fields(traits)]
    members = set(dir(_PROTOCOLS[room]))
    for owner in kind.__mro__:
        if owner is not _PROTOCOLS[room] and owner.__module__.split(".")[0] not in (
            "torch",
            "builtins",
            "typing",
        ):
            for attribute, value in vars(owner).items():
                if (
                    attribute[0] == "_"
                    or callable(value)
                    or isinstance(value, property)
                    or attribute in members
                ):
                    continue
                if near := difflib.get_close_matches(attribute, known, n=1, cutoff=0.85):
                    raise UsageError(
                        f"{name}: {attribute!r} is no attribute of a {room}; did you mean the trait {near[0]!r}? Write "
                        f"traits = {traits.__name__}({near[0]}=...)"
                    )
