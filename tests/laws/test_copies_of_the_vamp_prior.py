"""A VampPrior is tied to the encoder of the model it is in: in copies, loaded models and wrappers for processes."""

import copy

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from vaekit.objectives import Elbo
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae

SHAPE, LATENT = (5,), 2
TIED = [
    kind
    for kind, part in PARTS["posterior"].items()
    if not part.traits.is_deterministic and not part.traits.scores_own_draws_only and part.traits.has_density
]


def make(posterior="diagonal"):
    sentence = Sentence.parse(network="mlp:hidden=6", posterior=posterior, prior="vamp:components=3")
    with seeded(0):
        return build_vae(sentence, SHAPE, LATENT).eval()


def prior_density(model, z):
    with torch.no_grad():
        return model.prior().log_prob(z)


def latents(model):
    with seeded(1), torch.no_grad():
        return model.encode(torch.rand(4, *SHAPE)).sample()


def move_encoder(model):
    with torch.no_grad(), seeded(2):
        for parameter in model.parts["encoder"].parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))


@pytest.mark.parametrize("posterior", TIED)
def test_a_deep_copy_follows_its_own_encoder(posterior):
    model = make(posterior)
    clone, z = copy.deepcopy(model), latents(model)
    before = prior_density(model, z)
    assert torch.equal(prior_density(clone, z), before)
    move_encoder(clone)
    assert torch.equal(prior_density(model, z), before), "the original does not follow the copy"
    assert not torch.equal(prior_density(clone, z), before), "the copy follows itself"
    model.load_state_dict(clone.state_dict())
    assert torch.equal(prior_density(model, z), prior_density(clone, z))


def test_a_stored_reference_would_be_seen():
    """The faulty form: a prior that keeps another model's encode."""
    model, other = make(), make()
    z, before = latents(model), None
    kept = other.encode
    prior = model.parts["prior"]
    before = prior(encode=kept).log_prob(z)
    move_encoder(model)
    assert torch.equal(prior(encode=kept).log_prob(z), before), "it does not follow the model it is in"
    assert not torch.equal(model.prior().log_prob(z), before)


@pytest.fixture
def one_process(tmp_path):
    """A group of one process."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


class Bound(nn.Module):
    """The training objective as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return Elbo()(self.model, x).surrogate.mean()


@pytest.mark.skipif(not distributed.is_available(), reason="torch was built without distributed")
def test_over_processes_the_prior_follows_the_encoder_and_both_learn(one_process):
    model = make().train()
    with seeded(3):
        x = torch.rand(8, *SHAPE)
    alone = copy.deepcopy(model)
    wrapped = DistributedDataParallel(Bound(model))
    for bound, of in ((wrapped, model), (Bound(alone), alone)):
        with seeded(4):
            bound(x).backward()
        assert all(parameter.grad is not None for parameter in of.parameters())
    for (name, ours), theirs in zip(model.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    z, before = latents(model), None
    before = prior_density(wrapped.module.model, z)
    move_encoder(wrapped.module.model)
    assert not torch.equal(prior_density(model, z), before)
    assert torch.equal(prior_density(model, z), prior_density(wrapped.module.model, z))
