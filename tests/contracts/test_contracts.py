"""Parts that do not keep their contract are refused where they are made, with the attribute and what to write."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from narrowing import untyped
from vaekit import VAE
from vaekit.contracts import (
    Likelihood,
    LikelihoodTraits,
    Objective,
    ObjectiveResult,
    ObjectiveTraits,
    Posterior,
    PosteriorTraits,
    Prior,
    PriorTraits,
    as_objective,
    check_part,
    traits_of,
)
from vaekit.errors import UsageError
from vaekit.evaluation import evaluate_bound
from vaekit.likelihoods import BernoulliLikelihood
from vaekit.objectives import Elbo
from vaekit.posteriors import DiagonalPosterior, PointPosterior
from vaekit.priors import StandardPrior
from vaekit.sentence import PARTS
from vaekit.training import TrainingSettings, train


def compose(**parts):
    chosen = {
        "encoder": nn.Linear(3, 4),
        "posterior": DiagonalPosterior(2),
        "prior": StandardPrior((2,)),
        "decoder": nn.Linear(2, 3),
        "likelihood": BernoulliLikelihood((3,)),
    }
    return VAE(**(chosen | parts))


@pytest.mark.parametrize(("room", "kind"), [(room, kind) for room in PARTS for kind in PARTS[room]])
def test_our_own_parts_keep_the_contract(room, kind):
    check_part(room, PARTS[room][kind])


def test_a_misspelt_trait_is_an_error_where_it_is_written():
    with pytest.raises(TypeError, match="need_density"):
        PriorTraits(**untyped({"need_density": True}))
    with pytest.raises(UsageError, match=r"unknown need 'encoder'; did you mean 'encode'\?"):
        PriorTraits(needs=untyped(frozenset({"encoder"})))
    with pytest.raises(UsageError, match=r"scaling='standardise'; did you mean 'standardize'\?"):
        LikelihoodTraits(measure="density", scaling=untyped("standardise"))


@pytest.mark.parametrize("flag", ["space", "needs_density", "need_density", "needs"])
def test_a_trait_outside_traits_is_refused(flag):
    kind = type("Mine", (StandardPrior,), {flag: True})
    with pytest.raises(
        UsageError, match=rf"prior Mine: '{flag}' is no attribute of a prior; did you mean the trait"
    ):
        compose(prior=kind((2,)))


def test_a_module_without_a_contract_is_told_what_to_inherit_from():
    class Bare(nn.Module):
        def forward(self):
            return Independent(Normal(torch.zeros(2), 1.0), 1)

    with pytest.raises(
        UsageError, match=r"prior Bare has no '.*': a prior inherits from vaekit\.contracts\.Prior"
    ):
        compose(prior=Bare())
    with_contract = type("Whole", (Bare, Prior), {})
    assert compose(prior=with_contract()).prior().event_shape == (2,)


def test_the_nearest_attribute_is_named():
    class Shapes(nn.Module, Posterior):
        def __init__(self):
            super().__init__()
            self.latent_shapes = self.feature_shape = (2,)

    with pytest.raises(UsageError, match=r"has no 'latent_shape' \(there is 'latent_shapes'\)"):
        compose(posterior=untyped(Shapes)())

    class Unscaled(nn.Module, Likelihood):
        event_shape = feature_shape = (3,)
        support = encoder_input = untyped(None)

    with pytest.raises(UsageError, match="likelihood Unscaled has no 'traits'"):
        compose(likelihood=untyped(Unscaled)())


def test_traits_of_the_wrong_room_are_refused():
    kind = type("Mine", (StandardPrior,), {"traits": PosteriorTraits()})
    with pytest.raises(UsageError, match=r"expected a vaekit\.contracts\.PriorTraits"):
        compose(prior=kind((2,)))


def test_what_distributions_say_of_themselves():
    assert traits_of(Normal(0.0, 1.0)).has_density
    assert not traits_of(PointPosterior(2)(torch.zeros(1, 2))).has_density


def test_a_function_is_an_objective_and_an_object_must_inherit():
    def mine(model, x, c=None):
        return Elbo()(model, x, c)

    x = (torch.rand(20, 3) > 0.5).float()
    history = train(compose(), untyped(mine), x, settings=TrainingSettings(epochs=2, batch_size=8), seed=0)
    assert len(history.epochs) == 2

    class Loose:
        def __call__(self, model, x, c=None):
            return Elbo()(model, x, c)

        def at(self, epochs_done):
            """Never called, if it were taken for a function."""

    with pytest.raises(
        UsageError, match=r"objective Loose: expected a function .* vaekit\.contracts\.Objective"
    ):
        as_objective(Loose())
    assert as_objective(Elbo()).traits == ObjectiveTraits(takes_relaxation=True)


def test_an_objective_that_returns_a_tensor_is_told_what_to_return():
    class Loss(Objective):
        def __call__(self, model, x, c=None) -> Any:
            return torch.zeros(len(x))

    with pytest.raises(
        UsageError, match=r"objective Loss returned a Tensor; return vaekit\.objectives\.ObjectiveResult"
    ):
        evaluate_bound(compose(), Loss(), torch.zeros(16, 3))
    with pytest.raises(UsageError, match="objective Loss returned a Tensor"):
        train(
            compose(), Loss(), torch.zeros(16, 3), settings=TrainingSettings(epochs=1, batch_size=8), seed=0
        )
    assert ObjectiveResult._fields[:2] == ("bound", "surrogate")
