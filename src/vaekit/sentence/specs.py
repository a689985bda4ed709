r"""The sentence of parts: ``kind:key=value,key=value`` <-> typed options <-> modules.

In the grammar of :mod:`vaekit.language.grammar`, on the command line, in Python and in ``model.json``::

    mlp:hidden=200x200,activation=tanh
    gaussian:scale=learned
    elbo:beta=4
    elbo:beta=linear:0..1/10                a scalar that follows a schedule: from 0 to 1 over 10 epochs

Every scalar of an objective may follow a schedule (``linear``, ``cosine``, ``cyclical``; see
:mod:`vaekit.language.schedules`). The names are in :mod:`vaekit.sentence.registry`; which of them fit together is in
:mod:`vaekit.sentence.compatibility`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vaekit.errors import UsageError
from vaekit.language.grammar import option_parameters, read_choice, there_are, write_choice
from vaekit.networks import OwnNetworkName
from vaekit.sentence.registry import PARTS, Room, natural_prior

__all__ = ["Sentence", "Spec", "parse"]

# Stands in sentences, and cannot be built from them.
_OWN_NETWORK: dict[str, Callable[..., Any]] = {"own": OwnNetworkName}


_COLUMNS_IN_A_LINE = 6


@dataclass(frozen=True)
class Spec:
    """One part of the sentence: a kind and its options, all of them, defaults included.

    Parameters
    ----------
    room
        Which slot the part fills.
    kind
        Its name in that room.
    options
        Values by name.

    Examples
    --------
    >>> spec = parse("network", "mlp:hidden=200x200")
    >>> spec.options["hidden"], spec.options["activation"]
    ((200, 200), 'gelu')
    >>> str(spec)
    'mlp:hidden=200x200,activation=gelu,normalisation=none,dropout=0.0,initialisation=default,shortcut=false'
    """

    room: Room
    kind: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return write_choice(self.kind, self.options)

    @property
    def many_columns(self) -> tuple[str, ...]:
        """The kinds of the columns of a likelihood with one for each, where they are more than six; else nothing."""
        kinds = tuple(self.options.get("columns", ()))
        return kinds if len(kinds) > _COLUMNS_IN_A_LINE else ()

    @property
    def in_short(self) -> str:
        """The spec as text; with many columns, only its kind and their number.

        >>> parse("prior", "standard").in_short
        'standard'
        >>> parse("likelihood", "mixed:columns=" + "x".join(["gaussian"] * 31)).in_short
        'mixed, of 31 columns'
        """
        return f"{self.kind}, of {len(self.many_columns)} columns" if self.many_columns else str(self)

    @property
    def part(self) -> Any:
        """The class behind the name."""
        return _kinds(self.room, self.kind)[self.kind]

    def build(self, **context: Any) -> Any:
        """Make the part; of ``context`` (shapes, say) it is given what its class asks for by name."""
        asked = inspect.signature(self.part).parameters
        given = {name: value for name, value in context.items() if name in asked}
        return self.part(**given, **self.options)


@dataclass(frozen=True)
class Sentence:
    """A whole VAE in five parts: the sentence that ``model.json`` keeps.

    Examples
    --------
    >>> sentence = Sentence.parse(network="mlp:hidden=8", likelihood="gaussian")
    >>> sentence.to_json()["likelihood"]
    'gaussian:scale=learned,value=1.0'
    """

    network: Spec
    posterior: Spec
    prior: Spec
    likelihood: Spec
    objective: Spec

    @classmethod
    def parse(
        cls,
        *,
        network: Any = "mlp",
        posterior: Any = "diagonal",
        prior: Any = None,
        likelihood: Any = "bernoulli",
        objective: Any = "elbo",
    ) -> "Sentence":
        r"""Read five specs; raises :class:`~vaekit.errors.UsageError` at the first that is not understood.

        A prior that is None is the natural one of the posterior's space: ``standard`` in :math:`\mathbb R^k`.
        """
        return cls(
            parse("network", network),
            read := parse("posterior", posterior),
            parse("prior", natural_prior(read.part) if prior is None else prior),
            parse("likelihood", likelihood),
            parse("objective", objective),
        )

    @property
    def specs(self) -> dict[Room, Spec]:
        """The five specs by room."""
        return {
            "network": self.network,
            "posterior": self.posterior,
            "prior": self.prior,
            "likelihood": self.likelihood,
            "objective": self.objective,
        }

    def to_json(self) -> dict[str, str]:
        """The five specs as strings, every option written out."""
        return {room: str(spec) for room, spec in self.specs.items()}


def parse(room: Room, text: "str | Spec | type | partial[Any]") -> Spec:
    """Read one spec of the sentence.

    Parameters
    ----------
    room
        Which slot it is for.
    text
        ``kind`` or ``kind:key=value,key=value``; or the class of a part, or ``functools.partial`` of one with options.

    Returns
    -------
    Spec
        With every option the kind has.

    Raises
    ------
    UsageError
        For an unknown kind or key (the nearest name is suggested), or a value of the wrong type or range.

    Examples
    --------
    >>> parse("likelihood", "gausian")
    Traceback (most recent call last):
    vaekit.errors.UsageError: unknown likelihood 'gausian'; did you mean 'gaussian'? There are: bernoulli,
    ...
    >>> parse("objective", "elbo:betta=4")
    Traceback (most recent call last):
    vaekit.errors.UsageError: elbo has no option 'betta'; did you mean 'beta'? There are: beta, free_bits, ...
    """
    if isinstance(text, Spec):
        return text
    if isinstance(text, type | partial):
        return _spec_of(room, text)
    return _read(room, text)


def _read(room: Room, text: object) -> Spec:
    if not isinstance(text, str):
        raise UsageError(
            f"{room}={text!r}: expected a string such as {next(iter(PARTS[room]))!r}, the class of a part or "
            f"functools.partial of one with its options, got a {type(text).__name__}: parts are built when the data "
            "are known"
        )
    kinds = _kinds(room, text.partition(":")[0])
    return Spec(room, *read_choice(room, text, kinds))


def _spec_of(room: Room, given: "type | partial[Any]") -> Spec:
    """Read the class of a part, which is known from then on by its registered or its dotted name."""
    part, options = (given.func, given.keywords) if isinstance(given, partial) else (given, {})
    if not isinstance(part, type) or (isinstance(given, partial) and given.args):
        raise UsageError(
            f"{room}={given!r}: expected a class, or functools.partial of one with keyword options"
        )
    kind = PARTS[room].name_of(part)
    if kind is None:
        kind = f"{part.__module__}.{part.__qualname__}"
        PARTS[room].add(kind, part)
    known = option_parameters(part)
    for key in options:
        if key not in known:
            raise UsageError(f"{kind} has no option {key!r}{there_are(key, known)}")
    return Spec(room, kind, {key: options.get(key, parameter.default) for key, parameter in known.items()})


def _kinds(room: Room, kind: str) -> Mapping[str, Any]:
    return _OWN_NETWORK if room == "network" and kind in _OWN_NETWORK else PARTS[room]
