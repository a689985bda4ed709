"""Means over rows of which only some, drawn at random, got a proposal of their own: right, with an honest error."""

import json

import pytest
import torch

from oracles.linear_gaussian import LinearGaussian
from vaekit.cli.printing import evaluation_lines
from vaekit.evaluation import Estimate, log_likelihood
from vaekit.evaluation.evidence import _rows_to_mend
from vaekit.evaluation.held_out import evaluate
from vaekit.runtime.randomness import seeded

ROWS, DRAWN = 240, 40


@pytest.fixture(scope="module")
def mistaken():
    """A linear-Gaussian model whose encoder is three deviations beside each posterior, and rows of it."""
    truth = LinearGaussian.random(columns=9, latent=7)
    model = truth.vae(exact=False)
    assert isinstance(model.encoder, torch.nn.Linear)
    with torch.no_grad():
        model.encoder.bias[:7] += 3 * truth.posterior_covariance.diagonal().sqrt()
    x = truth.draw(ROWS)
    return model, x, truth.log_evidence(x)


def test_the_mean_is_that_of_all_within_its_error(mistaken):
    model, x, exact = mistaken
    with seeded(0):
        found = log_likelihood(model, x, samples=50, most_mended=DRAWN)
    assert found.gain is not None
    assert found.mended.sum() <= DRAWN
    assert found.raised.sum() > ROWS / 4
    assert not (found.raised & (found.reliable | found.mended)).any()
    error = float((found.values - exact).mean())
    share = float(found.raised.double().mean())
    assert abs(error) < 3 * share * found.gain.standard_error + 0.05
    assert found.gain.mean > 10 * abs(error)  # as far off as it is without them
    plain = Estimate.of(found.values.numpy())
    assert found.estimate.standard_error > plain.standard_error
    assert found.estimate.standard_error == pytest.approx(
        (plain.standard_error**2 + (share * found.gain.standard_error) ** 2) ** 0.5
    )
    halves = (found.values - found.halved)[found.raised]
    assert (halves > -1e-9).all()


def test_the_error_of_the_gain_is_what_it_varies_by(mistaken):
    model, x, exact = mistaken
    off, claimed = [], []
    for seed in range(24):
        with seeded(seed):
            found = log_likelihood(model, x, samples=30, most_mended=12)
        assert found.gain is not None
        off.append(float((found.values - exact).mean()))
        claimed.append(float(found.raised.double().mean()) * found.gain.standard_error)
    spread, said = torch.tensor(off).std(), torch.tensor(claimed).square().mean().sqrt()
    assert 0.6 < spread / said < 1.6  # 24 repeats: a deviation is known to within 15 %, said twice that


def test_where_there_is_time_for_all_nothing_changes(mistaken):
    model, x, _ = mistaken
    found = []
    for most in (None, ROWS):
        with seeded(0):
            found.append(log_likelihood(model, x, samples=50, most_mended=most))
    assert torch.equal(found[0].values, found[1].values)
    assert found[1].gain is None
    assert not found[1].raised.any()
    with seeded(0):
        one_by_one = log_likelihood(model, x[:60], samples=50, most_mended=2, common_noise=True)
    assert one_by_one.gain is None


def test_rows_without_a_value_are_all_mended(mistaken):
    model, x, _ = mistaken
    x = x.clone()
    x[:30] += 1e7
    with seeded(0):
        found = log_likelihood(model.float(), x.float(), samples=50, most_mended=10)
    model.double()
    assert not found.raised[:30].any()
    assert found.values.isfinite().all()


def test_an_evaluation_says_so(mistaken, monkeypatch):
    model, x, _ = mistaken
    monkeypatch.setattr("vaekit.evaluation.evidence._FEWEST_MENDED", 20)
    found = evaluate(model, x, samples=50, seed=0, split="test", train=x)
    assert found.mean_gain is not None
    assert found.mended <= 20 < found.raised
    best = found.baselines[0]
    assert best.advantage is not None
    assert best.advantage.standard_error > found.raised / ROWS * found.mean_gain.standard_error
    line = next(line for line in evaluation_lines(found) if "more need one" in line)
    assert line == (
        f"  {found.raised} more need one, and were raised by what examples drawn from among them gained: "
        f"{found.mean_gain.mean:.3f} ± {found.mean_gain.standard_error:.3f} nats, as the errors shown count"
    )
    assert json.loads(json.dumps(found.to_json()))["mean_gain"]["mean"] == found.mean_gain.mean


def test_more_samples_leave_time_for_more_rows():
    assert _rows_to_mend(10, 25) == 32
    assert _rows_to_mend(1000, 5000) > 1000
