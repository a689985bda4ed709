"""The contracts of posteriors, priors, likelihoods, networks and objectives: the interface each must offer.

A part is an ``nn.Module`` that inherits from one of the protocols here, which have a default for everything
that most parts do not need. The facts about a part (where its latents live, what it must be given, whether it
has a density) are one frozen value, ``traits``; a misspelt trait is an error where it is written.
:func:`check_part` checks a part once, when it is registered or composed into a :class:`vaekit.VAE`; after
that, all other code reads attributes that are known to exist.
"""

from vaekit.contracts.checking import check_part
from vaekit.contracts.described import Described, traits_of
from vaekit.contracts.objective import (
    Objective,
    ObjectiveResult,
    WrappedObjective,
    as_objective,
    check_result,
)
from vaekit.contracts.protocols import Accepts, CodeSpace, Likelihood, Model, Network, Posterior, Prior
from vaekit.contracts.traits import (
    DistributionTraits,
    LikelihoodTraits,
    Measure,
    Need,
    NetworkTraits,
    ObjectiveTraits,
    PosteriorTraits,
    PriorTraits,
    Scaling,
)

__all__ = [
    "Accepts",
    "CodeSpace",
    "Described",
    "DistributionTraits",
    "Likelihood",
    "LikelihoodTraits",
    "Measure",
    "Model",
    "Need",
    "Network",
    "NetworkTraits",
    "Objective",
    "ObjectiveResult",
    "ObjectiveTraits",
    "Posterior",
    "PosteriorTraits",
    "Prior",
    "PriorTraits",
    "Scaling",
    "WrappedObjective",
    "as_objective",
    "check_part",
    "check_result",
    "traits_of",
]
