"""The posterior on the sphere as a part."""

import pytest
import torch

from vaekit.errors import UsageError
from vaekit.posteriors import VonMisesFisherPosterior
from vaekit.sentence import Sentence, build_vae


@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-30, 1.0, 1e30])
def test_directions_are_unit_vectors_whatever_the_features(scale):
    features = torch.tensor([[3.0, -4.0, 0.0, 2.0]]) * torch.tensor([scale, scale, scale, 1.0])
    features.requires_grad_()
    q = VonMisesFisherPosterior(3)(features)
    expected = torch.tensor([[0.6, -0.8, 0.0]]) if scale else torch.tensor([[1.0, 0.0, 0.0]])
    torch.testing.assert_close(q.mode, expected)
    (gradient,) = torch.autograd.grad(q.log_prob(torch.tensor([0.0, 0.0, 1.0])).sum(), features)
    assert gradient.isfinite().all()


def test_the_floor_is_added():
    features = torch.zeros(1, 4)
    assert float(VonMisesFisherPosterior(3, floor=1.0)(features).concentration) == pytest.approx(
        1.6931, abs=1e-4
    )


@pytest.mark.parametrize(
    "text", ["von-mises-fisher:floor=-1", "von-mises-fisher:floor=nan", "von-mises-fisher:floor=inf"]
)
def test_values_out_of_range_are_refused(text):
    with pytest.raises(UsageError, match="floor"):
        build_vae(Sentence.parse(posterior=text), (3,), latent=3)


def test_a_sphere_needs_two_dimensions():
    with pytest.raises(UsageError, match="at least 2 dimensions"):
        build_vae(Sentence.parse(posterior="von-mises-fisher"), (3,), latent=1)


def test_the_prior_of_the_sphere_is_the_default_and_the_gaussian_one_is_refused():
    sentence = Sentence.parse(posterior="von-mises-fisher")
    assert sentence.prior.kind == "uniform-sphere"
    with pytest.raises(
        UsageError, match=r"do not fit together.*Priors for von-mises-fisher: .*uniform-sphere"
    ):
        build_vae(Sentence.parse(posterior="von-mises-fisher", prior="standard"), (3,), latent=3)


def test_reconstructions_are_decoded_from_the_sphere():
    model = build_vae(Sentence.parse(network="mlp:hidden=8", posterior="von-mises-fisher"), (3,), latent=3)
    seen = []
    model.parts["decoder"].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model.reconstruct(torch.rand(4, 3))
    torch.testing.assert_close(seen[0].norm(dim=-1), torch.ones(4))
