r"""The sentence of parts: ``kind:key=value,key=value`` <-> typed options <-> modules.

One strict little grammar, used on the command line, in Python and in ``model.json``::

    mlp:hidden=200x200,activation=tanh      lists are written with an x
    mlp:hidden=none                         the empty list, or no value
    gaussian:scale=learned
    elbo:beta=4
    elbo:beta=linear:0..1/10                a scalar that follows a schedule: from 0 to 1 over 10 epochs

Every scalar of an objective may follow a schedule (``linear``, ``cosine``, ``cyclical``; see
:mod:`vaekit.schedules`). The options of a kind are the keyword-only parameters of its class, with the
types they are annotated with: there is no second list of them anywhere. This is the only file of the library that
knows parts by name.

**Spaces.** Latents may live elsewhere than in :math:`\mathbb R^k`: a posterior or prior says where in a class attribute
``space`` (absent: ``"euclidean"``), and the two of a sentence must agree. A prior that is not named is the first in
:data:`PARTS` that lives where the posterior does (``standard`` in :math:`\mathbb R^k`). A prior made of posteriors
(``vamp``) lives anywhere: ``space = "any"``. What a prior must know of the posterior's space to be built (a curvature,
say) the posterior gives in a dictionary ``shared``, by the names of the prior's parameters.
"""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from vaekit.errors import UsageError
from vaekit.likelihoods import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    MixedLikelihood,
    MultiScaleSimilarityLikelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    StudentTLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
)
from vaekit.networks import (
    ConvolutionalNetwork,
    GatedNetwork,
    MlpNetwork,
    NetworkRecipe,
    OwnNetworkName,
    ResidualConvolutionalNetwork,
    ResidualNetwork,
    TransformedInput,
    conditioned_decoder,
    conditioned_encoder,
)
from vaekit.objectives import (
    Adversarial,
    CombinationImportanceWeighted,
    DisentangledInferredPrior,
    Elbo,
    FactorizedPosterior,
    ImportanceWeighted,
    MaximumMeanDiscrepancy,
    MultiplyImportanceWeighted,
    PartiallyImportanceWeighted,
    RegularizedAutoencoder,
    Renyi,
    Schedule,
    SemiSupervised,
    TotalCorrelation,
    VaeGan,
)
from vaekit.posteriors import (
    CategoricalPosterior,
    ChainPosterior,
    DiagonalPosterior,
    FullPosterior,
    HamiltonianPosterior,
    InverseAutoregressivePosterior,
    LowRankPosterior,
    MaskedAutoregressivePosterior,
    PlanarPosterior,
    PointPosterior,
    QuantizedPosterior,
    ResidualQuantizedPosterior,
    SplinePosterior,
    VonMisesFisherPosterior,
    WrappedNormalPosterior,
)
from vaekit.priors import (
    AutoregressivePrior,
    CategoricalPrior,
    ChainPrior,
    FlowPrior,
    GaussianMixturePrior,
    GaussianPrior,
    MixturePrior,
    StandardPrior,
    UniformSpherePrior,
    VampPrior,
    WrappedNormalPrior,
)
from vaekit.vae import VAE

__all__ = ["PARTS", "Sentence", "Spec", "build_vae", "parse"]

Room = Literal["network", "posterior", "prior", "likelihood", "objective"]

#: Every part by room and by name: what may stand in a sentence.
PARTS: dict[Room, dict[str, Callable[..., Any]]] = {
    "network": {
        "mlp": MlpNetwork,
        "convolutional": ConvolutionalNetwork,
        "residual": ResidualNetwork,
        "residual-convolutional": ResidualConvolutionalNetwork,
        "gated": GatedNetwork,
    },
    "posterior": {
        "diagonal": DiagonalPosterior,
        "full": FullPosterior,
        "low-rank": LowRankPosterior,
        "point": PointPosterior,
        "iaf": InverseAutoregressivePosterior,
        "maf": MaskedAutoregressivePosterior,
        "spline": SplinePosterior,
        "planar": PlanarPosterior,
        "hamiltonian": HamiltonianPosterior,
        "quantized": QuantizedPosterior,
        "residual-quantized": ResidualQuantizedPosterior,
        "categorical": CategoricalPosterior,
        "chain": ChainPosterior,
        "von-mises-fisher": VonMisesFisherPosterior,
        "wrapped-normal": WrappedNormalPosterior,
    },
    "prior": {
        "standard": StandardPrior,
        "gaussian": GaussianPrior,
        "mixture": MixturePrior,
        "gmm": GaussianMixturePrior,
        "vamp": VampPrior,
        "flow": FlowPrior,
        "categorical": CategoricalPrior,
        "autoregressive": AutoregressivePrior,
        "chain": ChainPrior,
        "uniform-sphere": UniformSpherePrior,
        "wrapped-normal": WrappedNormalPrior,
    },
    "likelihood": {
        "bernoulli": BernoulliLikelihood,
        "continuous-bernoulli": ContinuousBernoulliLikelihood,
        "gaussian": GaussianLikelihood,
        "laplace": LaplaceLikelihood,
        "student-t": StudentTLikelihood,
        "categorical": CategoricalLikelihood,
        "discretized-logistic": DiscretizedLogisticLikelihood,
        "poisson": PoissonLikelihood,
        "negative-binomial": NegativeBinomialLikelihood,
        "zero-inflated-negative-binomial": ZeroInflatedNegativeBinomialLikelihood,
        "mixed": MixedLikelihood,
        "ms-ssim": MultiScaleSimilarityLikelihood,
    },
    "objective": {
        "elbo": Elbo,
        "iwae": ImportanceWeighted,
        "miwae": MultiplyImportanceWeighted,
        "piwae": PartiallyImportanceWeighted,
        "ciwae": CombinationImportanceWeighted,
        "renyi": Renyi,
        "tc": TotalCorrelation,
        "dip": DisentangledInferredPrior,
        "mmd": MaximumMeanDiscrepancy,
        "factor": FactorizedPosterior,
        "adversarial": Adversarial,
        "vae-gan": VaeGan,
        "rae": RegularizedAutoencoder,
        "m2": SemiSupervised,
    },
}

_OWN_NETWORK = {"own": OwnNetworkName}  # stands in sentences, and cannot be built from them

_SPACES = {
    "euclidean": "in R^k",
    "sphere": "on the unit sphere",
    "poincare": "in hyperbolic space",
    "codes": "among a finite number of codes",
}


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
        written = ",".join(f"{key}={_write(value)}" for key, value in self.options.items())
        return f"{self.kind}:{written}" if written else self.kind

    @property
    def part(self) -> Any:
        """The class behind the name."""
        return _kinds(self.room)[self.kind]

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
            parse("prior", _natural_prior(read) if prior is None else prior),
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
    _check_space(sentence)
    _check_density(sentence)
    _check_spread(sentence)
    _check_own_draws(sentence)
    _check_labels(sentence, condition)
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
    encoder_shape = getattr(likelihood, "encoder_shape", event_shape)
    encoder = conditioned_encoder(network, encoder_shape, posterior.feature_shape, condition)
    if likelihood.encoder_input is not None:
        encoder = TransformedInput(likelihood.encoder_input, encoder)
    decoder = _decoder(network, posterior, likelihood.feature_shape, condition)
    classifier = None
    if _needs_classifier(sentence):
        classifier = conditioned_encoder(network, encoder_shape, (condition,), 0)
        if likelihood.encoder_input is not None:
            classifier = TransformedInput(likelihood.encoder_input, classifier)
    model = VAE(encoder, posterior, prior, decoder, likelihood, classifier)
    objective = sentence.objective.build()
    if getattr(posterior, "relaxed", False) and not getattr(objective, "takes_relaxation", False):
        fitting = [
            kind for kind, part in PARTS["objective"].items() if getattr(part, "takes_relaxation", False)
        ]
        raise UsageError(
            f"objective {sentence.objective.kind} evaluates its surrogate at the draws of its bound, so it cannot see "
            f"their relaxation instead; use straight_through=true, or one of: {', '.join(fitting)}"
        )
    if hasattr(objective, "check"):
        objective.check(model)
    if hasattr(objective, "equip"):
        objective.equip(model)
    return model


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
    kind, colon, rest = text.strip().partition(":")
    kinds = _kinds(room)
    if kind not in kinds:
        raise UsageError(f"unknown {room} {kind!r}; {_suggest(kind, PARTS[room])}")
    parameters = _option_parameters(kinds[kind])
    options = {name: parameter.default for name, parameter in parameters.items()}
    if colon and not rest:
        raise UsageError(f"{room} {text!r} ends in a colon; write {kind!r}, or {kind}:key=value")
    given: set[str] = set()
    for piece in rest.split(",") if rest else ():
        key, equals, value = (token.strip() for token in piece.partition("="))
        if not equals or not value:
            raise UsageError(f"{room} {text!r}: {piece!r} is not of the form key=value")
        if key not in parameters:
            raise UsageError(f"{kind} has no option {key!r}; {_suggest(key, parameters)}")
        if key in given:
            raise UsageError(f"{room} {text!r} gives {key!r} twice")
        given.add(key)
        options[key] = _read(value, parameters[key].annotation, f"{kind}: {key}={value}")
    return Spec(room, kind, options)


def _kinds(room: Room) -> dict[str, Callable[..., Any]]:
    return PARTS[room] | _OWN_NETWORK if room == "network" else PARTS[room]


def _space(part: Callable[..., Any]) -> str:
    return getattr(part, "space", "euclidean")


def _natural_prior(posterior: Spec) -> str:
    """The first prior of the posterior's space."""
    space = _space(posterior.part)
    fitting = (kind for kind, part in PARTS["prior"].items() if _space(part) == space)
    return next(fitting, next(iter(PARTS["prior"])))


def _check_space(sentence: Sentence) -> None:
    """Refuse a posterior and a prior that live in different spaces."""
    spaces = [_space(sentence.posterior.part), _space(sentence.prior.part)]
    if spaces[0] == spaces[1] or "any" in spaces:
        return
    named = [_SPACES.get(space, space) for space in spaces]
    priors, posteriors = (
        ", ".join(kind for kind, part in PARTS[room].items() if _is_of(space, part, sentence))
        for room, space in zip(_PAIR, spaces, strict=True)
    )
    raise UsageError(
        f"posterior {sentence.posterior.kind} and prior {sentence.prior.kind} do not fit together: latents of the "
        f"first live {named[0]}, of the second {named[1]}, so one has no density under the other. Priors for "
        f"{sentence.posterior.kind}: {priors or 'none'}; posteriors for {sentence.prior.kind}: "
        f"{posteriors or 'none'}"
    )


_PAIR: tuple[Room, Room] = ("prior", "posterior")


def _is_of(space: str, part: Callable[..., Any], sentence: Sentence) -> bool:
    """Whether a part fits into a space, next to the posterior of a sentence."""
    is_point = getattr(sentence.posterior.part, "is_deterministic", False)
    return _space(part) == space or (_space(part) == "any" and not (is_point and _needs_spread(part)))


def _check_density(sentence: Sentence) -> None:
    """Refuse a posterior without a density where the prior or the objective needs it."""
    if getattr(sentence.posterior.part, "has_density", True):
        return
    rooms: tuple[Room, ...] = ("prior", "objective")
    for room in rooms:
        spec: Spec = getattr(sentence, room)
        if _needs_density(spec.part):
            others = (kind for kind, part in PARTS[room].items() if not _needs_density(part))
            space = _space(sentence.posterior.part)
            fitting = [kind for kind in others if room == "objective" or _space(PARTS[room][kind]) == space]
            raise UsageError(
                f"{room} {spec.kind} needs the density q(z|x), and the posterior {sentence.posterior.kind} has none; "
                f"with it use one of: {', '.join(fitting)}; or another posterior"
            )


def _check_spread(sentence: Sentence) -> None:
    """Refuse a prior made of posteriors that are points of a finite set: it would give most others no mass."""
    posterior, prior = sentence.posterior, sentence.prior
    if getattr(posterior.part, "is_deterministic", False) and _needs_spread(prior.part):
        space = _space(posterior.part)
        fitting = [kind for kind, part in PARTS["prior"].items() if _space(part) == space]
        raise UsageError(
            f"prior {prior.kind} is a mixture of posteriors, and each of {posterior.kind} is a single point: every "
            f"other would have probability 0, and an example there a bound of minus infinity; use one of: "
            f"{', '.join(fitting)}"
        )


def _check_own_draws(sentence: Sentence) -> None:
    """Refuse a prior made of posteriors that know the density of their own draws alone."""
    posterior, prior = sentence.posterior, sentence.prior
    needs = getattr(prior.part, "needs", frozenset())
    if getattr(posterior.part, "scores_own_draws_only", False) and "encode" in needs:
        raise UsageError(
            f"prior {prior.kind} is a mixture of posteriors evaluated at the draws of others, and a {posterior.kind} "
            "posterior knows the density of its own draws alone; use prior=standard, mixture or flow"
        )


def _needs_classifier(sentence: Sentence) -> bool:
    return getattr(sentence.objective.part, "needs_classifier", False)


def _check_labels(sentence: Sentence, condition: int) -> None:
    """Refuse an objective that learns labels where there are none."""
    if not _needs_classifier(sentence):
        return
    if condition < 2:
        raise UsageError(
            f"objective {sentence.objective.kind} learns from labels of which some are missing: give the model a "
            "categorical condition, such as condition=labels, or use another objective"
        )
    if sentence.network.kind == "own":
        raise UsageError(
            f"objective {sentence.objective.kind} has a third network, the classifier, and networks of your own are "
            "an encoder and a decoder; use a network by name"
        )


def _needs_spread(part: Callable[..., Any]) -> bool:
    return getattr(part, "needs_spread", False)


def _needs_density(part: Callable[..., Any]) -> bool:
    """Whether a part works only with a posterior that has a density: every objective that does not say otherwise."""
    return getattr(part, "needs_density", part in PARTS["objective"].values())


def _option_parameters(part: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    signature = inspect.signature(part, eval_str=True)
    return {p.name: p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _suggest(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return hint + (f"There are: {', '.join(names)}" if names else "it takes no options")


def _read(value: str, annotation: Any, where: str) -> Any:
    """Read a value of an annotated type; raises a UsageError that says what was expected."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        choices = typing.get_args(annotation)
        if value not in choices:
            raise UsageError(f"{where}: {_suggest(value, choices)}")
        return value
    if origin in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        if value == "none" and type(None) in typing.get_args(annotation):
            return None
        return _read_scheduled(value, where) if Schedule in members else _read(value, members[0], where)
    if origin is tuple:
        item = typing.get_args(annotation)[0]
        return () if value == "none" else tuple(_read(token, item, where) for token in value.split("x"))
    if annotation is bool:
        if value not in ("true", "false"):
            raise UsageError(f"{where}: expected true or false")
        return value == "true"
    if annotation is str:
        return value
    try:
        return annotation(value)
    except ValueError:
        expected = {int: "a whole number", float: "a number"}[annotation]
        raise UsageError(f"{where}: {value!r} is not {expected}") from None


def _read_scheduled(value: str, where: str) -> float | Schedule:
    try:
        return Schedule.parse(value) if ":" in value else float(value)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    except ValueError:
        raise UsageError(
            f"{where}: {value!r} is not a number, nor a schedule such as linear:0..1/10"
        ) from None


def _write(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return "x".join(map(_write, value))
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
