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
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vaekit.errors import UsageError
from vaekit.language.grammar import read_choice, write_choice
from vaekit.networks import (
    NetworkRecipe,
    OwnNetworkName,
    TransformedInput,
    conditioned_decoder,
    conditioned_encoder,
)
from vaekit.sentence.compatibility import check_compatible, check_relaxation, needs_classifier
from vaekit.sentence.registry import PARTS, Room, natural_prior
from vaekit.vae import VAE

__all__ = ["PARTS", "Sentence", "Spec", "build_vae", "parse"]

# Stands in sentences, and cannot be built from them.
_OWN_NETWORK: dict[str, Callable[..., Any]] = {"own": OwnNetworkName}


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
    >>> spec.options
    {'hidden': (200, 200), 'activation': 'gelu', 'normalisation': 'none', 'dropout': 0.0, 'initialisation': 'default'}
    >>> str(spec)
    'mlp:hidden=200x200,activation=gelu,normalisation=none,dropout=0.0,initialisation=default'
    """

    room: Room
    kind: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return write_choice(self.kind, self.options)

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
        network: str = "mlp",
        posterior: str = "diagonal",
        prior: str | None = None,
        likelihood: str = "bernoulli",
        objective: str = "elbo",
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

    def to_json(self) -> dict[str, str]:
        """The five specs as strings, every option written out."""
        return {room: str(getattr(self, room)) for room in PARTS}


def build_vae(
    sentence: Sentence,
    event_shape: tuple[int, ...],
    latent: int,
    *,
    log_jacobian: float = 0.0,
    condition: int = 0,
    network: NetworkRecipe | None = None,
) -> VAE:
    """Build the model a sentence describes, with fresh parameters from torch's global generator.

    Parameters
    ----------
    sentence
        The five parts.
    event_shape
        The shape of one example, in the coordinates of the model.
    latent
        Number of latent dimensions.
    log_jacobian
        Logarithm of the Jacobian of the data's scaling, in nats. Only densities are told: a probability is
        the same in all units.
    condition
        How many numbers the condition of an example has; 0: the model is not conditional. It is put beside the
        data in front of the encoder, beside the latents in front of the decoder, and given to priors that ask.
    network
        What makes the encoder and the decoder, instead of the sentence's.

    Returns
    -------
    VAE

    Raises
    ------
    UsageError
        For a value out of range, a posterior and a prior of different spaces, and an objective that needs what
        the posterior lacks.

    Examples
    --------
    >>> model = build_vae(Sentence.parse(network="mlp:hidden=8"), (1, 4, 4), latent=2)
    >>> model.latent_shape, model.event_shape
    ((2,), (1, 4, 4))
    """
    check_compatible(sentence, condition)
    network = sentence.network.build() if network is None else network
    posterior = sentence.posterior.build(latent=latent)
    is_density = sentence.likelihood.part.measure in ("density", "mixed")
    likelihood = sentence.likelihood.build(
        event_shape=event_shape, log_jacobian=log_jacobian if is_density else 0.0
    )
    prior = sentence.prior.build(
        latent_shape=posterior.latent_shape,
        event_shape=event_shape,
        lower=likelihood.support.lower,
        upper=likelihood.support.upper,
        condition=condition,
        **getattr(posterior, "shared", {}),
    )
    encoder = _encoder(network, likelihood, event_shape, posterior.feature_shape, condition)
    decoder = _decoder(network, posterior, likelihood.feature_shape, condition)
    classifier = None
    if needs_classifier(sentence):
        classifier = _encoder(network, likelihood, event_shape, (condition,), 0)
    model = VAE(encoder, posterior, prior, decoder, likelihood, classifier)
    objective = sentence.objective.build()
    check_relaxation(sentence, posterior)
    if hasattr(objective, "check"):
        objective.check(model)
    if hasattr(objective, "equip"):
        objective.equip(model)
    return model


def _encoder(
    network: Any,
    likelihood: Any,
    event_shape: tuple[int, ...],
    feature_shape: tuple[int, ...],
    condition: int,
) -> Any:
    """The network's encoder, behind what the likelihood makes of the data for it."""
    shape = getattr(likelihood, "encoder_shape", event_shape)
    encoder = conditioned_encoder(network, shape, feature_shape, condition)
    return (
        encoder if likelihood.encoder_input is None else TransformedInput(likelihood.encoder_input, encoder)
    )


def _decoder(network: Any, posterior: Any, feature_shape: tuple[int, ...], condition: int) -> Any:
    """The network's decoder, behind what the posterior says a decoder is to begin with."""
    first = getattr(posterior, "decoder_input", None)
    if first is None:
        return conditioned_decoder(network, posterior.latent_shape, feature_shape, condition)
    return TransformedInput(
        first, conditioned_decoder(network, posterior.decoder_shape, feature_shape, condition)
    )


def parse(room: Room, text: "str | Spec") -> Spec:
    """Read one spec of the sentence.

    Parameters
    ----------
    room
        Which slot it is for.
    text
        ``kind`` or ``kind:key=value,key=value``.

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
    if not isinstance(text, str):
        raise UsageError(
            f"{room}={text!r}: expected a string such as {next(iter(PARTS[room]))!r}, got a {type(text).__name__}"
        )
    kinds = _kinds(room, text.partition(":")[0])
    return Spec(room, *read_choice(room, text, kinds))


def _kinds(room: Room, kind: str) -> dict[str, Callable[..., Any]]:
    return _OWN_NETWORK if room == "network" and kind in _OWN_NETWORK else PARTS[room]
