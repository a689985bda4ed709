"""The composition: shapes, the ties between parts, and what goes wrong when parts do not fit."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from narrowing import untyped
from vaekit import VAE
from vaekit.contracts import Prior, PriorTraits
from vaekit.likelihoods import BernoulliLikelihood
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.sentence import Sentence, build_vae


def make(latent: int = 2, **parts: nn.Module) -> VAE:
    chosen: dict[str, nn.Module] = {
        "encoder": nn.Linear(6, 2 * latent),
        "posterior": DiagonalPosterior(latent),
        "prior": StandardPrior((latent,)),
        "decoder": nn.Linear(latent, 6),
        "likelihood": BernoulliLikelihood((6,)),
        **parts,
    }
    return VAE(**chosen)


class EncoderPrior(nn.Module, Prior):
    """A prior that needs the encoder, as a VampPrior does: q of one learned pseudo-input."""

    traits = PriorTraits(needs=frozenset({"encode"}))

    def __init__(self) -> None:
        super().__init__()
        self.pseudo_input = nn.Parameter(torch.rand(1, 6))

    def forward(self, *, encode):
        q = encode(self.pseudo_input)
        return Independent(Normal(q.mean[0], q.stddev[0]), 1)


@pytest.mark.parametrize("event_shape", [(5,), (1, 4, 3), (3, 5, 5)])
@pytest.mark.parametrize("network", ["mlp:hidden=7", "convolutional:channels=4,hidden=8"])
def test_shapes(event_shape, network):
    if network.startswith("conv") and len(event_shape) == 1:
        pytest.skip("convolutions want images")
    model = build_vae(Sentence.parse(network=network), event_shape, latent=3)
    x = torch.rand(4, *event_shape)
    q = model.encode(x)
    assert (q.batch_shape, q.event_shape) == ((4,), (3,))
    for samples in [(), (2,), (2, 5)]:
        p = model.decode(q.rsample(samples))
        assert (p.batch_shape, p.event_shape) == ((*samples, 4), event_shape)
        assert p.log_prob(x).shape == (*samples, 4)
    assert model.log_joint(x, q.rsample((2,))).shape == (2, 4)
    assert model.sample(7).shape == (7, *event_shape)
    assert model.reconstruct(x).shape == x.shape


def test_each_example_has_its_own_noise():
    model = make()
    x = torch.rand(1, 6).expand(200, 6)
    q = model.encode(x)
    z = q.sample()
    assert z[:, 0].unique().numel() == 200
    torch.testing.assert_close(z.std(0), q.stddev[0].detach(), rtol=0.25, atol=0)


def test_reconstruction_is_deterministic_unless_asked_to_sample():
    model, x = make(), torch.rand(5, 6)
    assert torch.equal(model.reconstruct(x), model.reconstruct(x))
    assert not torch.equal(model.reconstruct(x, sample=True), model.reconstruct(x, sample=True))


def test_any_module_will_do_whatever_batch_dimensions_it_can_take():
    class OneBatchDimension(nn.Module):
        def forward(self, z):
            if z.dim() != 2:
                raise AssertionError("one batch dimension")
            return z.repeat(1, 3)

    model = make(decoder=OneBatchDimension())
    assert model.decode(torch.randn(4, 3, 2)).log_prob(torch.rand(3, 6)).shape == (4, 3)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"encoder": nn.Linear(6, 5)},
            r"encoder gave features of shape \(5,\).*DiagonalPosterior takes \(4,\)",
        ),
        (
            {"decoder": nn.Linear(2, 7)},
            r"decoder gave features of shape \(7,\).*BernoulliLikelihood takes \(6,\)",
        ),
    ],
)
def test_networks_of_the_wrong_size_are_named(part, message):
    model = make(**part)
    with pytest.raises(ValueError, match=message):
        model.reconstruct(torch.rand(3, 6))


def test_a_prior_that_needs_the_encoder_stays_tied_to_it_after_deepcopy_and_load():
    model = make(prior=EncoderPrior())
    clone = copy.deepcopy(model)
    before = model.prior().mean.clone()
    with torch.no_grad():
        untyped(clone.parts["encoder"].weight).add_(1)
    assert torch.equal(model.prior().mean, before), "the copy must not reach back into the original"
    assert not torch.equal(clone.prior().mean, before), "the copy's prior must follow the copy's encoder"
    model.load_state_dict(clone.state_dict())
    assert torch.equal(model.prior().mean, clone.prior().mean)
    assert model.sample(3).shape == (3, 6)


def test_a_prior_that_needs_the_encoder_trains_it():
    model = make(prior=EncoderPrior())
    model.prior().log_prob(torch.randn(2)).backward()
    assert model.parts["encoder"].weight.grad is not None
    assert model.parts["prior"].pseudo_input.grad is not None


def test_no_part_holds_a_reference_to_another():
    model = make(prior=EncoderPrior())
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert len(names) == len(set(names)) == 5
