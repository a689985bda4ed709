"""The registry: every part by room and by name, our own, a program's and those of installed packages.

A part is offered in one of two ways, and from then on its name is known to the command line, the estimator, the
grammar, ``vaekit models``, ``vaekit conformance`` and :func:`vaekit.load`:

* in a program: ``vaekit.register("likelihood", "gamma", GammaLikelihood)``;
* by a package, for everybody who installs it: an entry point of the group ``vaekit.parts`` whose name is
  ``ROOM.NAME``, in its ``pyproject.toml``::

      [project.entry-points."vaekit.parts"]
      "likelihood.gamma" = "my_package:GammaLikelihood"

Our own parts go through the same door. Packages are imported when a name that is not ours is looked up or when all
names are listed, never by importing vaekit.
"""

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

from vaekit.contracts import check_part
from vaekit.errors import PartWarning, UsageError
from vaekit.language.grammar import there_are
from vaekit.likelihoods.mixed import offer_column_kind, search_column_kinds

__all__ = ["PARTS", "Room", "imports_of", "natural_prior", "register", "space_of"]

Room = Literal["network", "posterior", "prior", "likelihood", "objective"]

_GROUP = "vaekit.parts"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Kinds(Mapping[str, Any]):
    """The parts of one room by name: ours first, then those that a program registered, then packages'."""

    def __init__(self, room: Room) -> None:
        self._room: Room = room
        self._known: dict[str, Any] = {}
        self.built_in: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._load(name)
        if name not in self._known and "." in name:
            self._known[name] = _imported(self._room, name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        yield from list(self._known)
        known = set(self._known)
        self._load()
        yield from [name for name in self._known if name not in known]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except KeyError:
            return False
        return True

    def add(self, name: str, part: Any) -> None:
        """Enter a part."""
        if name in self._known and self._known[name] is not part:
            there = f"{self._known[name].__module__}.{self._known[name].__qualname__}"
            raise UsageError(f"{self._room} {name!r} is registered already, as {there}; choose another name")
        check_part(self._room, part)
        self._known[name] = part
        if self._room == "likelihood" and part.traits.column:
            offer_column_kind(name, part)

    def name_of(self, part: Any) -> str | None:
        """Return the name a part is known by; None where it is not registered."""
        return next((name for name, known in self._known.items() if known is part), None)

    def _load(self, wanted: str | None = None) -> None:
        """Import what installed packages offer: one name, or all of them, of which a broken one is left out."""
        for name, point in _points(self._room).items():
            if name in self._known or (wanted is not None and name != wanted):
                continue
            try:
                self.add(name, point.load())
            except Exception as error:
                package = point.dist.name if point.dist is not None else point.value
                reason = f"{type(error).__name__}: {error}"
                message = f"{self._room} {name!r} of the package {package} cannot be used: {reason}"
                if wanted is not None:
                    raise UsageError(message) from error
                warnings.warn(message, PartWarning, stacklevel=2)


def _points(room: Room) -> dict[str, EntryPoint]:
    return {
        point.name.removeprefix(f"{room}."): point
        for point in _offered(entry_points, tuple((place, _changed(place)) for place in sys.path))
        if point.name.startswith(f"{room}.")
    }


@lru_cache(maxsize=1)
def _offered(read: Callable[..., Iterable[EntryPoint]], folders: object) -> tuple[EntryPoint, ...]:
    """Read what all installed packages offer; again only after a folder of packages has changed."""
    return tuple(read(group=_GROUP))


def _changed(folder: str) -> int:
    """Return when a folder was last changed, in nanoseconds; 0 where there is none."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


def _imported(room: Room, name: str) -> Any:
    """Find a part by its dotted name in a module that the program has imported; nothing is imported here."""
    module, _, attribute = name.rpartition(".")
    part = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
    if not isinstance(part, type):
        raise KeyError(name)
    check_part(room, part)
    return part


#: Every part by room and by name: what may stand in a sentence.
PARTS: dict[Room, Kinds] = {room: Kinds(room) for room in get_args(Room)}

search_column_kinds(PARTS["likelihood"].__contains__)  # of a table's columns, those of packages too


def register(room: Room, name: str, part: Any = None) -> Any:
    """Offer a part of your own under a name.

    Parameters
    ----------
    room : {"network", "posterior", "prior", "likelihood", "objective"}
        Which slot of the sentence it is for.
    name
        Lower-case letters and digits, words joined by hyphens.
    part
        The class: it keeps the contract of its room, see :mod:`vaekit.contracts`, and its options are its keyword-only
        parameters. None: a decorator is returned.

    Returns
    -------
    type
        The class, unchanged.

    Raises
    ------
    UsageError
        For an unknown room, a name that is taken or of another form, and a part that does not keep its contract.

    Examples
    --------
    >>> import torch
    >>> from vaekit.priors import StandardPrior
    >>> @register("prior", "plain")
    ... class PlainPrior(StandardPrior):
    ...     "The standard prior by another name."
    >>> from vaekit.sentence import Sentence
    >>> str(Sentence.parse(prior="plain").prior)
    'plain'
    """
    if room not in PARTS:
        raise UsageError(f"room {room!r}{there_are(str(room), PARTS)}")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{room} {name!r}: write lower-case letters and digits, words joined by hyphens, such as 'student-t'"
        )
    if part is None:
        return partial(register, room, name)
    if not isinstance(part, type):
        raise UsageError(f"{room} {name!r}: expected a class, got {part!r}")
    PARTS[room].add(name, part)
    return part


def imports_of(parts: Iterable[tuple[Room, str]]) -> list[dict[str, str]]:
    """Return what must be imported for parts that are not ours: room, kind, module and package of each.

    Parameters
    ----------
    parts
        Pairs of a room and a kind; a kind that is not registered is passed over.

    Examples
    --------
    >>> imports_of([("prior", "standard")])
    []
    """
    found = []
    for room, kind in parts:
        if kind in PARTS[room].built_in or kind not in PARTS[room]:
            continue
        point = _points(room).get(kind)
        package = point.dist.name if point is not None and point.dist is not None else ""
        found.append({"room": room, "kind": kind, "module": PARTS[room][kind].__module__, "package": package})
    return found


def space_of(part: Any) -> str:
    """Return where the latents of a posterior or prior live."""
    return part.traits.space


def natural_prior(posterior: Any) -> str:
    """Return the name of the first prior of the posterior's space."""
    priors = PARTS["prior"]
    return next(
        (kind for kind, part in priors.items() if space_of(part) == space_of(posterior)), next(iter(priors))
    )
