r"""Which parts fit together: a sentence that cannot be right is refused before anything is built.

Latents may live elsewhere than in :math:`\mathbb R^k`: a posterior or prior says where in a class attribute ``space``
(absent: ``"euclidean"``), and the two of a sentence must agree. A prior made of posteriors (``vamp``) lives anywhere:
``space = "any"``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vaekit.errors import UsageError
from vaekit.sentence.registry import PARTS, Room, space_of

if TYPE_CHECKING:
    from vaekit.sentence.sentence import Sentence, Spec

__all__ = ["check_compatible", "check_relaxation", "needs_classifier"]

_SPACES = {
    "euclidean": "in R^k",
    "sphere": "on the unit sphere",
    "poincare": "in hyperbolic space",
    "codes": "among a finite number of codes",
}


def check_compatible(sentence: "Sentence", condition: int) -> None:
    """Raise a :class:`~vaekit.errors.UsageError` that says what would fit, for parts that do not fit together.

    Parameters
    ----------
    sentence
        The five parts.
    condition
        How many numbers the condition of an example has.
    """
    _check_space(sentence)
    _check_density(sentence)
    _check_spread(sentence)
    _check_own_draws(sentence)
    _check_labels(sentence, condition)


def check_relaxation(sentence: "Sentence", posterior: Any) -> None:
    """Refuse an objective that cannot see a posterior's relaxed draws, once the posterior is built."""
    if getattr(posterior, "relaxed", False) and not _takes_relaxation(sentence.objective.part):
        fitting = ", ".join(kind for kind, part in PARTS["objective"].items() if _takes_relaxation(part))
        raise UsageError(
            f"objective {sentence.objective.kind} evaluates its surrogate at the draws of its bound, so it cannot see "
            f"their relaxation instead; use straight_through=true, or one of: {fitting}"
        )


def needs_classifier(sentence: "Sentence") -> bool:
    """Whether the objective wants a classifier, the third network."""
    return getattr(sentence.objective.part, "needs_classifier", False)


def _check_space(sentence: "Sentence") -> None:
    """Refuse a posterior and a prior that live in different spaces."""
    spaces = [space_of(sentence.posterior.part), space_of(sentence.prior.part)]
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


def _is_of(space: str, part: Callable[..., Any], sentence: "Sentence") -> bool:
    """Whether a part fits into a space, next to the posterior of a sentence."""
    is_point = getattr(sentence.posterior.part, "is_deterministic", False)
    return space_of(part) == space or (space_of(part) == "any" and not (is_point and _needs_spread(part)))


def _check_density(sentence: "Sentence") -> None:
    """Refuse a posterior without a density where the prior or the objective needs it."""
    if getattr(sentence.posterior.part, "has_density", True):
        return
    rooms: tuple[Room, ...] = ("prior", "objective")
    for room in rooms:
        spec: Spec = getattr(sentence, room)
        if _needs_density(spec.part):
            others = (kind for kind, part in PARTS[room].items() if not _needs_density(part))
            space = space_of(sentence.posterior.part)
            fitting = [kind for kind in others if room == "objective" or space_of(PARTS[room][kind]) == space]
            raise UsageError(
                f"{room} {spec.kind} needs the density q(z|x), and the posterior {sentence.posterior.kind} has none; "
                f"with it use one of: {', '.join(fitting)}; or another posterior"
            )


def _check_spread(sentence: "Sentence") -> None:
    """Refuse a prior made of posteriors that are points of a finite set: it would give most others no mass."""
    posterior, prior = sentence.posterior, sentence.prior
    if getattr(posterior.part, "is_deterministic", False) and _needs_spread(prior.part):
        space = space_of(posterior.part)
        fitting = [kind for kind, part in PARTS["prior"].items() if space_of(part) == space]
        raise UsageError(
            f"prior {prior.kind} is a mixture of posteriors, and each of {posterior.kind} is a single point: every "
            f"other would have probability 0, and an example there a bound of minus infinity; use one of: "
            f"{', '.join(fitting)}"
        )


def _check_own_draws(sentence: "Sentence") -> None:
    """Refuse a prior made of posteriors that know the density of their own draws alone."""
    posterior, prior = sentence.posterior, sentence.prior
    needs = getattr(prior.part, "needs", frozenset())
    if getattr(posterior.part, "scores_own_draws_only", False) and "encode" in needs:
        raise UsageError(
            f"prior {prior.kind} is a mixture of posteriors evaluated at the draws of others, and a {posterior.kind} "
            "posterior knows the density of its own draws alone; use prior=standard, mixture or flow"
        )


def _check_labels(sentence: "Sentence", condition: int) -> None:
    """Refuse an objective that learns labels where there are none."""
    if not needs_classifier(sentence):
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


def _takes_relaxation(objective: Any) -> bool:
    return getattr(objective, "takes_relaxation", False)


def _needs_spread(part: Callable[..., Any]) -> bool:
    return getattr(part, "needs_spread", False)


def _needs_density(part: Callable[..., Any]) -> bool:
    """Whether a part works only with a posterior that has a density: every objective that does not say otherwise."""
    return getattr(part, "needs_density", part in PARTS["objective"].values())
