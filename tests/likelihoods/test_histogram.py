"""Histograms of columns: probabilities of whole numbers, densities of real ones, tails, and their file."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from narrowing import known
from vaekit import VariationalAutoencoder, load
from vaekit.errors import UsageError
from vaekit.likelihoods import MixedLikelihood
from vaekit.likelihoods.histogram import HistogramLikelihood
from vaekit.likelihoods.histogram_cells import ColumnFacts, facts_of, find_cells
from vaekit.runtime.randomness import seeded

RNG = np.random.default_rng(0)
HOURS = np.where(RNG.random(2000) < 0.45, 40, RNG.integers(1, 90, 2000)).astype(float)
RAIN = np.where(RNG.random(2000) < 0.3, 0.0, RNG.lognormal(size=2000))
PRICE = np.round(RNG.gamma(2.0, 5.0, 2000), 1)
BELL = RNG.normal(size=2000)
COLUMNS = {
    "hours": (HOURS, ColumnFacts(1.0, 0.0)),
    "rain": (RAIN, ColumnFacts(0.0, 0.0)),
    "price": (PRICE, ColumnFacts(0.1)),
    "bell": (BELL, ColumnFacts()),
}


def learned(name, cells=160, seed=0):
    """A likelihood of one column that has seen it, and its distribution for random logits."""
    values, facts = COLUMNS[name]
    likelihood = HistogramLikelihood((1,), cells=cells).double()
    likelihood.learn_rows(values[:, None], [facts])
    with seeded(seed):
        return likelihood, likelihood(torch.randn(*likelihood.feature_shape, dtype=torch.float64))


def density(distribution, x):
    return distribution.log_prob(torch.as_tensor(x, dtype=torch.float64)[:, None]).exp().detach().numpy()


def test_probabilities_of_whole_numbers_sum_to_one():
    _, p = learned("hours")
    assert density(p, np.arange(-2000.0, 3000.0)).sum() == pytest.approx(1, abs=1e-12)
    _, p = learned("price")  # recorded in tenths: each stands for its interval
    assert 0.1 * density(p, np.arange(-2000.0, 8000.0) / 10).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", COLUMNS)
def test_it_integrates_to_one_piece_by_piece(name):
    likelihood, p = learned(name)
    edges = likelihood.edges[0, : likelihood.intervals + 1].numpy()
    inside = (density(p, edges[:-1] / 2 + edges[1:] / 2) * np.diff(edges)).sum()
    tails = likelihood.tails[0, :, 0].sum().item()
    assert inside + tails == pytest.approx(1, abs=1e-6)
    for side, sign in ((0, -1), (1, 1)):
        mass, length, step = likelihood.tails[0, side].tolist()
        steps = max(step, length / 200)
        out = edges[-side] + sign * (np.arange(0, 40 * length, steps) + 0.5 * steps)
        assert density(p, out).sum() * steps == pytest.approx(mass, rel=0.02)


@pytest.mark.parametrize("name", COLUMNS)
def test_samples_follow_it(name):
    likelihood, p = learned(name)
    with seeded(1):
        x = p.sample(torch.Size((20_000,)))
    place, interval = likelihood.find(x)
    inside = ((interval >= 0) & (interval < likelihood.intervals)).squeeze(1)
    shares = p.log_shares[0].exp().detach().numpy()
    counts = np.bincount(place[inside, 0].numpy(), minlength=len(shares))
    kept = shares > 0
    assert counts[~kept].sum() == 0
    assert stats.chisquare(counts[kept], counts.sum() * shares[kept]).pvalue > 1e-3
    error = 4 * p.variance.sqrt() / len(x) ** 0.5
    assert (x.mean(0) - p.mean).abs() < error
    assert (x.var(0) / p.variance - 1).abs() < 0.1
    if name == "hours":
        assert torch.equal(x, x.round())
        assert x.min() >= 0
    if name == "price":
        torch.testing.assert_close(x, (10 * x).round() / 10, rtol=0, atol=1e-9)


def test_a_later_value_far_out_is_improbable_and_not_impossible():
    for name in COLUMNS:
        _, p = learned(name)
        near, far, further = p.log_prob(torch.tensor([[200.0], [2000.0], [1e6]])).tolist()
        assert near > far > further > -np.inf
    # towards zero, where no value is negative, there is practically nothing
    likelihood, _ = learned("rain")
    assert likelihood.tails[0, 0, 0] < 1e-8
    positive = find_cells(100 + PRICE, ColumnFacts(0.1, lower=0.0))
    assert positive.tails[0] * np.exp(-(positive.edges[0]) / positive.scales[0]) < 1e-10


def test_frequencies_of_the_training_rows_are_its_start():
    likelihood, _ = learned("hours")
    x = torch.from_numpy(HOURS)[:, None]
    p = likelihood(likelihood.marginal_features(x))
    values, counts = np.unique(HOURS, return_counts=True)
    found = density(p, values[counts >= 6])
    np.testing.assert_allclose(found, counts[counts >= 6] / len(x), atol=2e-3)
    cells = find_cells(HOURS, COLUMNS["hours"][1])
    np.testing.assert_allclose(p.log_prob(x).detach().numpy(), cells.log_density(HOURS), rtol=1e-9)


@pytest.mark.parametrize("name", COLUMNS)
def test_nats_do_not_depend_on_the_units(name):
    values, facts = COLUMNS[name]
    scaled = ColumnFacts(1000 * facts.resolution, 1000 * facts.lower)
    here = find_cells(values, facts).log_density(values)
    there = find_cells(1000 * values, scaled).log_density(1000 * values)
    np.testing.assert_allclose(here - there, np.log(1000), atol=1e-6)


def test_cells_cover_the_range_without_holes_and_atoms_are_apart():
    values = np.concatenate([np.zeros(900), 5000 + np.arange(100.0)])
    cells = find_cells(values, ColumnFacts(1.0, 0.0))
    assert np.all(np.diff(cells.edges) > 0)
    assert cells.edges[[0, -1]].tolist() == [-0.5, 5099.5]
    assert cells.counts.sum() == 1000
    assert cells.counts[cells.place([0.0])] == [900]
    assert np.exp(cells.log_density([0.0])) == pytest.approx(0.9, abs=0.02)
    assert len(find_cells(HOURS, ColumnFacts(1.0), most=20).counts) <= 20
    assert facts_of([0.0, 37.5, 100.0], whole=False, decimals=1, scale=2.0) == ColumnFacts(0.05, 0.0, 50.0)


def test_the_encoder_sees_rank_and_cell_with_a_gradient():
    likelihood, _ = learned("bell")
    x = torch.linspace(-6, 6, 50, dtype=torch.float64)[:, None].requires_grad_()
    seen = likelihood.encoder_input(x)
    assert seen.shape == (50, *likelihood.encoder_shape)
    assert (seen[:, 0].diff() > 0).all()
    seen[:, 0].sum().backward()
    assert (known(x.grad) > 0).all()
    assert (seen[:, 1:].sum(1) == 1).all()


def test_it_is_a_kind_of_column_and_comes_back_from_a_file(tmp_path):
    assert MixedLikelihood((2,), columns=("histogram5", "gaussian")).feature_shape == (6,)
    with pytest.raises(UsageError, match="cells=1; give a whole number from 2"):
        MixedLikelihood((2,), columns=("histogram1", "gaussian"))
    frame = pd.DataFrame({"hours": HOURS.astype(int), "rain": RAIN, "on": np.where(HOURS > 40, "y", "n")})[
        :300
    ]
    vae = VariationalAutoencoder(
        1,
        network="mlp:hidden=8",
        epochs=2,
        random_state=0,
        columns={"hours": "histogram", "rain": "histogram"},
    ).fit(frame)
    assert str(vae.sentence_.likelihood).startswith("mixed:columns=histogram")
    vae.save(tmp_path / "m.vae")
    assert json.loads((tmp_path / "m.vae" / "model.json").read_text())["sentence"]["likelihood"] == str(
        vae.sentence_.likelihood
    )
    again = load(tmp_path / "m.vae")
    assert np.array_equal(again.score_samples(frame, samples=5), vae.score_samples(frame, samples=5))
    drawn = np.asarray(vae.sample(500, random_state=0, noise=True, as_frame=False), dtype=float)
    assert np.round(drawn[:, 0]).min() >= 0
    assert drawn[:, 1].min() > -1e-6
