"""Anybody's VAE by its three callables: a right one passes, and each classic mistake is caught by its law."""

import contextlib
import io
import json
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal

from narrowing import untyped
from vaekit.cli import main
from vaekit.conformance import ThreeCallables, check, check_exact, check_sentence, summarise
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence


class SharedNoise(Normal):
    """One noise vector for the whole batch."""

    def rsample(self, sample_shape=()):
        return self.loc + self.scale * torch.randn(*sample_shape, 1, self.loc.shape[-1])

    sample = rsample


class WithoutConstant(Normal):
    """A log-density without its 1/2 log 2 pi."""

    def log_prob(self, value):
        return -0.5 * ((value - self.loc) / self.scale).square() - self.scale.log()


class WithoutLogScale(Normal):
    """A log-density without its log sigma."""

    def log_prob(self, value):
        return -0.5 * ((value - self.loc) / self.scale).square()


class VarianceForScale(Normal):
    """Draws with the variance where the standard deviation belongs."""

    def sample(self, sample_shape=()):
        return self.loc + self.scale.square() * torch.randn(self._extended_shape(torch.Size(sample_shape)))

    rsample = sample


class SummedOverTheBatch(Distribution):
    def __init__(self, base):
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.base = base

    def log_prob(self, value):
        return self.base.log_prob(value).sum()


class Small(nn.Module):
    """A right VAE on six pixels, of torch alone; the mistakes come in from outside."""

    def __init__(self, posterior=Normal, likelihood=None):
        super().__init__()
        with seeded(0):
            self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 12)
        self.posterior, self.likelihood = posterior, likelihood

    def encode(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return Independent(self.posterior(mean, (0.5 * log_variance - 0.7).exp()), 1)

    def decode(self, z):
        first, second = self.decoder(z).chunk(2, 1)
        if self.likelihood is None:
            return Independent(Bernoulli(logits=first), 1)
        return Independent(self.likelihood(first, second.exp()), 1)

    def prior(self):
        return Independent(Normal(torch.zeros(2), 1.0), 1)


def examples(n=32):
    with seeded(1):
        return torch.rand(n, 6).round()


def broken(model, x=None, loss=None):
    callables = ThreeCallables(model.encode, model.prior, model.decode)
    findings = check(callables, examples() if x is None else x, loss=loss)
    return {finding.law: finding.detail for finding in findings if finding.outcome == "broken"}


@pytest.mark.parametrize("likelihood", [None, Normal])
@pytest.mark.parametrize("seed", range(5))
def test_a_right_model_passes_every_law(likelihood, seed):
    model = Small(likelihood=likelihood)
    callables = ThreeCallables(model.encode, model.prior, model.decode)
    findings = check(callables, examples(), seed=seed)
    assert summarise(findings) == {"holds": 8, "broken": 0, "not checked": 0}, [str(f) for f in findings]


def test_one_noise_vector_for_the_batch_is_named():
    assert "single noise vector" in broken(Small(SharedNoise))["every example has its own noise"]


def test_a_missing_constant_is_named_with_its_size():
    detail = broken(Small(WithoutConstant))["the posterior's draws and log_prob belong together"]
    assert "exp(-0.9" in detail


def test_variance_for_standard_deviation_is_caught():
    assert "the posterior's draws and log_prob belong together" in broken(Small(VarianceForScale))


def test_a_likelihood_without_its_normaliser_is_caught_although_the_data_have_many_dimensions():
    found = broken(Small(likelihood=WithoutLogScale))
    assert set(found) == {"the likelihood is normalised for every z and draws what it says"}


def test_a_sum_over_the_batch_is_named():
    model = Small()
    right = model.decode
    untyped(model).decode = lambda z: SummedOverTheBatch(right(z))
    found = broken(model)
    assert "decode(z).log_prob(x) has shape ()" in found["log-densities are one number an example"]


def test_noise_in_the_encoder_and_statistics_of_the_batch_are_named():
    noisy = Small()
    untyped(noisy).encoder = nn.Sequential(nn.Dropout(0.5), noisy.encoder)
    assert "evaluation mode" in broken(noisy)["encode is deterministic"]
    crowded = Small()
    untyped(crowded).encoder = nn.Sequential(nn.BatchNorm1d(6, track_running_stats=False), crowded.encoder)
    found = broken(crowded)
    assert "an example does not depend on the company it keeps" in found


def test_a_loss_is_compared_with_the_bound_and_its_scale_named():
    model = Small()

    def loss(x, reduce):
        q = model.encode(x)
        z = q.rsample()
        kl = torch.distributions.kl_divergence(q, Independent(Normal(torch.zeros(2), 1.0), 1))
        return reduce(kl - model.decode(z).log_prob(x))

    law = "the loss is the negative evidence lower bound, in nats per example"
    assert law not in broken(model, loss=partial(loss, reduce=torch.mean))
    assert "the sum over the batch" in broken(model, loss=partial(loss, reduce=torch.sum))[law]
    per_pixel = broken(model, loss=lambda x: loss(x, torch.mean) / 6)[law]
    assert "divided by the number of inputs" in per_pixel
    assert "wrong sign" in broken(model, loss=lambda x: -loss(x, torch.mean))[law]


@pytest.fixture(scope="module")
def own_parts():
    """The status and the document of the command line's check of vaekit's own parts, which takes half a minute."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = main(["conformance", "--sentences", "3", "--json"])
    return status, json.loads(said.getvalue())


@pytest.mark.parametrize("posterior", list(PARTS["posterior"]))
def test_every_posterior_is_held_to_the_exact_evidence(own_parts, posterior):
    _, document = own_parts
    subject = f"linear-Gaussian model, {posterior}, elbo"
    outcomes = [f["outcome"] for f in document["findings"] if f["subject"] == subject]
    assert outcomes
    assert "broken" not in outcomes, document


def test_an_exact_answer_can_fail(monkeypatch):
    from vaekit.conformance.linear_gaussian import LinearGaussian

    exact = LinearGaussian.log_evidence
    monkeypatch.setattr(LinearGaussian, "log_evidence", lambda self, x: exact(self, x) - 1.0)
    with seeded(0):
        assert summarise(check_exact("diagonal", "iwae:samples=100"))["broken"] == 2


def test_a_sentence_that_is_refused_is_not_checked_and_says_why():
    (finding,) = check_sentence(Sentence.parse(posterior="full", objective="tc"))
    assert finding.outcome == "not checked"
    assert "use posterior=diagonal" in finding.detail


FILE = """
import torch
from torch.distributions import Bernoulli, Independent, Normal

x = torch.ones(20, 3)

def encode(x):
    return Independent(Normal(0.1 * x[:, :2], torch.ones(len(x), 2)), 1)

def prior():
    return Independent(Normal(torch.zeros(2), torch.ones(2)), 1)

def decode(z):
    return Independent(Bernoulli(logits=z @ torch.ones(2, 3)), 1)
"""


def test_the_command_line_checks_a_file(tmp_path, capsys):
    right, wrong, short = (tmp_path / name for name in ("right.py", "wrong.py", "short.py"))
    right.write_text(FILE)
    wrong.write_text(FILE.replace("torch.ones(len(x), 2)), 1)", "torch.rand(len(x), 2)), 1)"))
    short.write_text("x = 3\n")
    assert main(["conformance", str(right)]) == 0
    assert "8 holds, 0 broken, 0 not checked" in capsys.readouterr().out
    assert main(["conformance", str(wrong)]) == 1
    assert "two calls on the same rows give different posteriors" in capsys.readouterr().out
    assert main(["conformance", str(short)]) == 2
    assert "does not define encode, prior, decode" in capsys.readouterr().err
    assert main(["conformance", str(tmp_path / "none.py")]) == 3


def test_the_command_line_checks_its_own_parts(own_parts):
    status, document = own_parts
    assert status == 0
    assert document["broken"] == 0
    assert document["holds"] > 20
