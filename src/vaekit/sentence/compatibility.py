r"""Checks that the parts of a sentence fit together, made before anything is built.

Latents may live elsewhere than in :math:`\mathbb R^k`: a posterior or prior says where in the ``space`` of its
traits, and the two of a sentence must agree. A prior made of posteriors (``vamp``) lives anywhere:
``space = "any"``.
"""

from typing import Any

from vaekit.errors import UsageError
from vaekit.sentence.registry import PARTS, Room, space_of
from vaekit.sentence.specs import Sentence, Spec

__all__ = ["check_compatible", "check_missing", "check_relaxation", "needs_classifier"]

_SPACES = {
    "euclidean": "in R^k",
    "sphere": "on the unit sphere",
    "poincare": "in hyperbolic space",
    "codes": "among a finite number of codes",
}


def check_compatible(sentence: Sentence, condition: int) -> None:
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


def check_relaxation(sentence: Sentence, posterior: Any) -> None:
    """Refuse an objective that cannot see a posterior's relaxed draws, once the posterior is built."""
    if posterior.traits.relaxed and not sentence.objective.part.traits.takes_relaxation:
        fitting = ", ".join(kind for kind, part in PARTS["objective"].items() if part.traits.takes_relaxation)
        raise UsageError(
            f"objective {sentence.objective.kind} evaluates its surrogate at the draws of its bound, so it cannot see "
            f"their relaxation instead; use straight_through=true, or one of: {fitting}"
        )


def check_missing(sentence: Sentence, likelihood: Any) -> None:
    """Refuse parts that need whole rows, for data with missing cells; ``likelihood`` is the built one."""
    fitting: dict[Room, list[str]] = {
        "likelihood": [kind for kind, part in PARTS["likelihood"].items() if part.traits.takes_missing],
        "objective": [
            kind for kind, part in PARTS["objective"].items() if not part.traits.compares_whole_rows
        ],
    }
    whole_rows: dict[Room, bool] = {
        "likelihood": not likelihood.traits.takes_missing,
        "objective": sentence.objective.part.traits.compares_whole_rows,
    }
    for room, needed in whole_rows.items():
        if needed:
            raise UsageError(
                f"{room} {sentence.specs[room].kind} needs whole rows, and values are missing in these data; use one "
                f"of: {', '.join(fitting[room])}; or fill them in"
            )


def needs_classifier(sentence: Sentence) -> bool:
    """Whether the objective wants a classifier, the third network."""
    return sentence.objective.part.traits.needs_classifier


def _check_space(sentence: Sentence) -> None:
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


def _is_of(space: str, part: Any, sentence: Sentence) -> bool:
    """Whether a part fits into a space, next to the posterior of a sentence."""
    is_point = sentence.posterior.part.traits.is_deterministic
    return space_of(part) == space or (
        space_of(part) == "any" and not (is_point and part.traits.needs_spread)
    )


def _check_density(sentence: Sentence) -> None:
    """Refuse a posterior without a density where the prior or the objective needs it."""
    if sentence.posterior.part.traits.has_density:
        return
    pairs: tuple[tuple[Room, Spec], ...] = (("prior", sentence.prior), ("objective", sentence.objective))
    for room, spec in pairs:
        if spec.part.traits.needs_density:
            others = (kind for kind, part in PARTS[room].items() if not part.traits.needs_density)
            space = space_of(sentence.posterior.part)
            fitting = [kind for kind in others if room == "objective" or space_of(PARTS[room][kind]) == space]
            raise UsageError(
                f"{room} {spec.kind} needs the density q(z|x), and the posterior {sentence.posterior.kind} has none; "
                f"with it use one of: {', '.join(fitting)}; or another posterior"
            )


def _check_spread(sentence: Sentence) -> None:
    """Refuse a prior made of posteriors that are points of a finite set: it would give most others no mass."""
    posterior, prior = sentence.posterior, sentence.prior
    if posterior.part.traits.is_deterministic and prior.part.traits.needs_spread:
        space = space_of(posterior.part)
        fitting = [kind for kind, part in PARTS["prior"].items() if space_of(part) == space]
        raise UsageError(
            f"prior {prior.kind} is a mixture of posteriors, and each of {posterior.kind} is a single point: every "
            f"other would have probability 0, and an example there a bound of minus infinity; use one of: "
            f"{', '.join(fitting)}"
        )


def _check_own_draws(sentence: Sentence) -> None:
    """Refuse a prior made of posteriors that know the density of their own draws alone."""
    posterior, prior = sentence.posterior, sentence.prior
    needs = prior.part.traits.needs
    if posterior.part.traits.scores_own_draws_only and "encode" in needs:
        raise UsageError(
            f"prior {prior.kind} is a mixture of posteriors evaluated at the draws of others, and a {posterior.kind} "
            "posterior knows the density of its own draws alone; use prior=standard, mixture or flow"
        )


def _check_labels(sentence: Sentence, condition: int) -> None:
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
