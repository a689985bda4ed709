"""The doctor names the illness of every model that has one, and none of a healthy model."""

import json

import numpy as np
import pytest
import torch

from oracles import ailing_models as ailing
from oracles.ailing_models import COLLINEAR, TRUTH
from vaekit import VariationalAutoencoder, diagnose
from vaekit.errors import DataError, UsageError
from vaekit.evaluation import Estimate
from vaekit.jobs.diagnosis.diagnose_calibration import coverage, recalibration_gain
from vaekit.jobs.diagnosis.diagnose_rows import _gap, _places  # pyright: ignore[reportPrivateUsage]
from vaekit.jobs.diagnosis.diagnosis import Finding, SeedRun, matters
from vaekit.jobs.diagnosis.seed_sensitivity import Refit, tell_of_seeds

HELD_OUT, TRAIN = TRUTH.draw(400, seed=1), TRUTH.draw(800, seed=2)


def finding(diagnosis, name):
    return next(found for found in diagnosis.findings if found.name == name)


@pytest.fixture(scope="module")
def healthy():
    return diagnose(TRUTH.vae(exact=True), HELD_OUT, train=TRAIN)


def test_a_healthy_model_has_no_findings(healthy):
    assert healthy.names == []
    assert healthy.healthy
    assert len(healthy.passed) == 11
    assert healthy.not_checked == []


def test_anybodys_healthy_model_has_none_either():
    found = diagnose(ailing.composed(), HELD_OUT, train=TRAIN)
    assert found.names == []
    assert any("kinds of columns" in text for text in found.not_checked)


def test_the_same_seed_finds_the_same(healthy):
    again = diagnose(TRUTH.vae(exact=True), HELD_OUT, train=TRAIN)
    assert json.dumps(again.to_json()) == json.dumps(healthy.to_json())


def test_collapse():
    found = diagnose(ailing.collapsed(), HELD_OUT)
    assert found.names[0] == "collapse"
    assert "active dimensions: 0 of 2" in finding(found, "collapse").text
    # The dependence that it tells of is at most the whole of it.
    correlation = TRUTH.weight @ TRUTH.weight.T + TRUTH.scale**2 * torch.eye(5)
    whole = -0.5 * float(torch.linalg.slogdet(correlation)[1] - correlation.diagonal().log().sum())
    assert 0.5 * whole < finding(found, "collapse").nats.mean < whole + 0.3


def test_independent_columns_have_nothing_to_tell():
    x = torch.randn(400, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = ailing.composed(
        lambda x: ailing.standard(2).expand((len(x),)),
        decode=lambda z: ailing.standard(5).expand((len(z),)),
    )
    assert diagnose(model, x).names == []


@pytest.mark.parametrize("train", [None, 800])
def test_a_hole_in_the_prior(train):
    rows = None if train is None else ailing.with_clusters(train, 5)
    found = diagnose(ailing.composed(), ailing.with_clusters(400, 4), train=rows)
    assert "prior-hole" in found.names
    hole = finding(found, "prior-hole")
    assert hole.nats.mean > 0.5
    assert "fit-prior" in hole.advice[0]


def test_the_gain_of_another_prior_is_what_a_fit_of_it_gains():
    """Against the exact density of the aggregate posterior, a mixture of two Gaussians."""
    x = ailing.with_clusters(1000, 4)
    hole = finding(diagnose(ailing.composed(), x, train=ailing.with_clusters(3000, 5)), "prior-hole")
    covariance = TRUTH.posterior_covariance
    shrink = torch.eye(2, dtype=torch.float64) - covariance
    spread = covariance + shrink @ (0.09 * torch.eye(2) + 0).double() @ shrink.T
    spread = spread + TRUTH.scale**2 * TRUTH.posterior_map @ TRUTH.posterior_map.T
    centre = shrink @ torch.tensor([1.9, 0.0]).double()
    sides = torch.distributions.MultivariateNormal(torch.stack([centre, -centre]), spread)
    with torch.no_grad():
        z = ailing.composed().encode(x).sample()
    exact = sides.log_prob(z.unsqueeze(1)).logsumexp(1) - np.log(2) - ailing.standard(2).log_prob(z)
    assert hole.nats.mean == pytest.approx(float(exact.mean()), abs=0.1)


def test_an_encoder_that_falls_short():
    found = diagnose(ailing.composed(ailing.diagonal(shift=1.0)), HELD_OUT)
    gap = finding(found, "amortisation-gap")
    precision = torch.linalg.inv(TRUTH.posterior_covariance)
    moved = precision.diagonal().rsqrt()
    assert gap.nats.mean == pytest.approx(0.5 * float(moved @ precision @ moved), abs=0.1)
    assert "approximation-gap" not in found.names


def test_a_family_of_posteriors_that_is_too_simple():
    x = COLLINEAR.draw(300, seed=1)
    found = diagnose(ailing.composed(ailing.diagonal(COLLINEAR), truth=COLLINEAR), x)
    precision = torch.linalg.inv(COLLINEAR.posterior_covariance)
    exact = 0.5 * float(precision.diagonal().log().sum() - torch.linalg.slogdet(precision)[1])
    gap = finding(found, "approximation-gap")
    assert 0.7 * exact < gap.nats.mean < exact + 0.1  # log p(x) is known by a lower bound, and exact is 2.5
    assert "amortisation-gap" not in found.names


def test_importance_samples_that_cannot_be_trusted():
    found = diagnose(ailing.composed(ailing.diagonal(size=0.15)), HELD_OUT)
    assert "importance-sampling" in found.names
    assert "--method annealed" in finding(found, "importance-sampling").advice[0]


def test_over_fitting():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(140, 12))
    vae = VariationalAutoencoder(
        4, likelihood="gaussian", network="mlp:hidden=128", epochs=150, patience=None, random_state=0
    ).fit(x[:70], validation=False)
    found = diagnose(vae, x[70:], train=x[:70])
    assert "over-fitting" in found.names
    assert finding(found, "over-fitting").nats.mean > 1


def test_rows_that_are_further_out_are_no_over_fitting():
    """Their bound is nats lower under the true model, as that of training rows as far out is."""
    x = torch.cat([HELD_OUT, TRAIN])
    held_out = (x / x.std(0)).square().sum(1) + torch.linspace(0, 3, len(x)) > 6
    found = diagnose(TRUTH.vae(exact=True), x[held_out], train=x[~held_out])
    assert "over-fitting" not in found.names
    told = next(text for text in found.passed if text.startswith("the bound of training rows"))
    assert abs(float(told.split("is ")[1].split(" ")[0])) < 0.25


def test_a_small_gap_is_told_from_the_scatter_of_rows():
    rng = np.random.default_rng(3)
    places = rng.normal(size=(700, 4))
    part = np.arange(700) < 70
    values = -0.5 * np.square(places).sum(1) + 0.5 * part + 0.3 * rng.normal(size=700)
    train, rest = torch.from_numpy(values[part]), torch.from_numpy(values[~part])
    gap = _gap(train, rest, _places(torch.from_numpy(places[part]), torch.from_numpy(places[~part])))
    assert gap.mean == pytest.approx(0.5, abs=4 * gap.standard_error)
    assert gap.standard_error == pytest.approx(0.3 / np.sqrt(70), rel=0.25)
    assert train.std() / np.sqrt(70) > 4 * gap.standard_error


def test_rows_in_both_parts():
    x = torch.cat([HELD_OUT[:300], TRAIN[:60]])
    found = diagnose(TRUTH.vae(exact=True), x, train=TRAIN)
    assert found.names == ["repeated-rows"]
    assert "60 of 360" in finding(found, "repeated-rows").title


def test_equal_rows_of_discrete_columns_are_natural():
    rng = np.random.default_rng(1)
    code = rng.integers(2, size=(900, 1))
    x = (rng.random((900, 4)) < np.where(code, 0.8, 0.2)).astype(float)
    vae = VariationalAutoencoder(1, network="mlp:hidden=8", epochs=30, random_state=0).fit(x[:600])
    assert "repeated-rows" not in diagnose(vae, x[600:], train=x[:600]).names


@pytest.mark.parametrize(("factor", "words"), [(3.0, "too large"), (0.4, "too small")])
def test_noise_of_another_size(factor, words):
    found = diagnose(ailing.noisy(factor), HELD_OUT, train=TRAIN)
    assert "noise" in found.names
    assert words in finding(found, "noise").title
    assert ("calibration" in found.names) == (factor > 1)


def skewed(n, seed):
    """Rows of the truth of which the third column is an exponential instead, of the same mean and variance."""
    x = TRUTH.draw(n, seed=seed)
    rate = torch.distributions.Exponential(torch.tensor(1.0).double())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        other = rate.sample((n,))
    spread = (TRUTH.weight[2].square().sum() + TRUTH.scale**2).sqrt()
    x[:, 2] = TRUTH.mean[2] + spread * (other - 1)
    return x


def test_a_column_that_is_not_calibrated_and_worse_than_its_marginal():
    found = diagnose(TRUTH.vae(exact=True), skewed(1000, 1), train=skewed(1500, 2), columns=list("abcde"))
    for name in ("calibration", "worse-than-marginal"):
        assert finding(found, name).title.startswith("1 column is")
        assert ": c (" in finding(found, name).title


def test_tails_that_are_too_light():
    x = TRUTH.draw(600, seed=1)
    noise = np.random.default_rng(0).standard_t(2.0, size=600)
    x[:, 1] += torch.from_numpy(noise)
    found = diagnose(TRUTH.vae(exact=True), x, columns=list("abcde"))
    tails = finding(found, "heavy-tails")
    assert ": b (" in tails.title
    assert "--column b=student-t" in tails.advice[0]


def test_tails_that_a_learned_noise_hides():
    """The noise has the size of the errors, outliers included, so that few values are beyond it."""
    rng = np.random.default_rng(5)
    noise = torch.from_numpy(rng.standard_t(2.5, size=(900, 5)))
    z = torch.from_numpy(rng.normal(size=(900, 2)))
    noise = noise / noise.square().mean(0).sqrt()
    found = diagnose(TRUTH.vae(exact=True), z @ TRUTH.weight.T + TRUTH.mean + TRUTH.scale * noise)
    tails = finding(found, "heavy-tails")
    assert "by a Student's t" in tails.title
    assert tails.nats.mean < 0.5


def test_counts_that_are_over_dispersed():
    rng = np.random.default_rng(2)
    x = rng.negative_binomial(0.7, 0.05, size=(900, 3)).astype(float)
    vae = VariationalAutoencoder(
        1, likelihood="mixed:columns=poisson", network="mlp:hidden=8", epochs=20, random_state=0
    ).fit(x[:600])
    found = diagnose(vae, x[600:], train=x[:600])
    assert "negative-binomial" in finding(found, "heavy-tails").advice[0]


def test_a_value_with_a_mass_of_its_own():
    x = TRUTH.draw(500, seed=1)
    x[::4, 3] = 0.0
    found = diagnose(TRUTH.vae(exact=True), x, columns=list("abcde"))
    mass = finding(found, "mass-at-a-value")
    assert ": d (" in mass.title
    assert "25% of rows" in mass.title
    assert "d=histogram" in mass.advice[0]


def test_the_worst_comes_first():
    found = diagnose(ailing.noisy(3.0), torch.cat([HELD_OUT, TRAIN[:100]]), train=TRAIN)
    effects = [each.nats.mean for each in found.findings]
    assert effects == sorted(effects, reverse=True)
    assert len(effects) > 2


def test_missing_cells_are_taken_in_any_units():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(600, 1))
    x = z @ rng.normal(size=(1, 4)) + 0.5 * rng.normal(size=(600, 4))
    x[:, 1] *= 1e4
    x[rng.random(x.shape) < 0.1] = np.nan
    vae = VariationalAutoencoder(1, network="mlp:hidden=16", epochs=30, random_state=0).fit(x[:400])
    found = diagnose(vae, x[400:], train=x[:400])
    assert not {"worse-than-marginal", "calibration", "heavy-tails", "repeated-rows"} & set(found.names)


def test_conditions_are_taken():
    rng = np.random.default_rng(4)
    label = rng.integers(3, size=500)
    x = 3 * np.eye(3, 4)[label] + rng.normal(size=(500, 1)) + 0.5 * rng.normal(size=(500, 4))
    vae = VariationalAutoencoder(1, condition="labels", network="mlp:hidden=16", epochs=25, random_state=0)
    vae.fit(x[:300], conditions=label[:300])
    found = diagnose(vae, x[300:], train=x[:300], conditions=label[300:], train_conditions=label[:300])
    assert not {"calibration", "prior-hole", "collapse", "repeated-rows"} & set(found.names)
    assert any("the model has conditions" in text for text in found.not_checked)


@pytest.mark.parametrize(
    "parts",
    [
        {"posterior": "quantized:codes=4"},
        {"posterior": "point", "objective": "mmd"},
        {"posterior": "hamiltonian"},
        {"posterior": "von-mises-fisher", "prior": "uniform-sphere"},
        {"posterior": "full", "prior": "vamp:components=5"},
    ],
)
def test_other_sentences_say_what_is_not_checked(parts):
    vae = VariationalAutoencoder(3, network="mlp:hidden=4", epochs=1, random_state=0, **parts)
    vae.fit(HELD_OUT[:60].numpy())
    found = diagnose(vae, HELD_OUT[60:160].numpy(), train=HELD_OUT[:60].numpy())
    assert found.not_checked or parts["posterior"] == "full"
    assert len(str(found)) > 100


def test_images_are_looked_at_but_for_their_columns():
    images = (np.random.default_rng(0).random((120, 1, 4, 4)) > 0.5).astype(np.uint8) * 255
    vae = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, random_state=0).fit(images)
    assert "columns: the data are no table" in diagnose(vae, images[:50], train=images[50:]).not_checked


def test_the_mode_of_a_module_is_left_as_it_was():
    vae = TRUTH.vae(exact=True).train()
    diagnose(vae, HELD_OUT[:60])
    assert vae.training


def test_few_rows_and_other_mistakes_are_refused():
    with pytest.raises(DataError, match=r"39 rows.*at least 40"):
        diagnose(TRUTH.vae(exact=True), HELD_OUT[:39])
    with pytest.raises(UsageError, match="2 names for 5 columns"):
        diagnose(TRUTH.vae(exact=True), HELD_OUT, columns=["a", "b"])


def test_a_diverged_model_and_rows_without_values_are_told_in_a_sentence():
    with pytest.raises(DataError, match="all values of the rows are missing"):
        diagnose(TRUTH.vae(exact=True), torch.full_like(HELD_OUT, torch.nan))

    def diverging(rows):
        """The true posterior, but of the first rows."""
        vae = TRUTH.vae(exact=True)

        def encode(x):
            mean = vae.encode(x).mean.detach().clone()
            mean[torch.isin(x[:, 0], HELD_OUT[:rows, 0])] = torch.inf
            return torch.distributions.MultivariateNormal(
                mean, TRUTH.posterior_covariance.expand(len(x), 2, 2), validate_args=False
            )

        return ailing.composed(encode)

    with pytest.raises(DataError, match=r"encodes 0 of 400 rows to finite numbers.*training diverged"):
        diagnose(diverging(400), HELD_OUT, quick=True)
    found = diagnose(diverging(7), HELD_OUT, quick=True)
    assert found.not_checked[0].startswith("7 of 400 rows")
    assert found.calibration[0].rows == 393


def test_an_uneven_transform_costs_its_divergence():
    rng = np.random.default_rng(0)
    u = rng.beta(2, 2, size=20_000)
    edges = np.linspace(0, 1, 11)
    share = np.diff(3 * edges**2 - 2 * edges**3)  # the distribution function of beta(2, 2)
    gain = recalibration_gain(u, edges)
    assert gain.mean == pytest.approx(float((share * np.log(share / 0.1)).sum()), abs=4 * gain.standard_error)
    assert coverage(u, 0.5)[0] == pytest.approx(0.6875, abs=0.015)


def test_an_even_transform_gains_nothing_on_rows_it_was_not_learned_from():
    rng = np.random.default_rng(1)
    gains = [recalibration_gain(rng.random(100), np.linspace(0, 1, 11)).mean for _ in range(100)]
    assert max(np.mean(gains), np.quantile(gains, 0.9)) < 0.02
    assert np.mean(gains) < 0


def test_an_effect_matters_beyond_its_error():
    assert not matters(Estimate(float("nan"), 0.0), 0.1)
    assert not matters(Estimate(1.0, 0.3), 0.1)
    assert matters(Estimate(1.0, 0.2), 0.1)


def test_fits_with_other_seeds_are_beside_each_other():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1)) @ rng.normal(size=(1, 4)) + 0.5 * rng.normal(size=(400, 4))
    vae = VariationalAutoencoder(
        1, likelihood="gaussian", network="mlp:hidden=8", epochs=15, learning_rate=0.01, random_state=0
    ).fit(x[:300])
    found = diagnose(vae, x[300:], train=x[:300], seeds=2, quick=True)
    assert [run.seed for run in found.seeds] == [1, 2]
    assert [run.active for run in found.seeds] == [1, 1]
    assert found.seeds[0].bound.mean != found.seeds[1].bound.mean
    assert found.passed[-1].startswith("of 2 refits with other seeds")
    assert len(found.to_json()["seeds"]) == 2
    assert not diagnose(vae, x[300:], quick=True).seeds
    unknown = diagnose(vae, x[300:], seeds=2, quick=True)
    foreign = diagnose(TRUTH.vae(exact=True), HELD_OUT, train=TRAIN, seeds=1, quick=True)
    for told in (unknown, foreign):
        assert told.not_checked[-1].startswith("sensitivity to the seed: ")
    with pytest.raises(UsageError, match="seeds=-1"):
        diagnose(vae, x[300:], seeds=-1)


def refit(seed, bound, findings=()):
    active = None if np.isnan(bound).any() else 2
    return Refit(SeedRun(seed, Estimate.of(np.asarray(bound)), active, tuple(findings)), torch.tensor(bound))


def test_a_fit_that_hangs_on_its_seed():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=200)  # the same rows: what they share is no error of the difference
    near = [refit(i, rows + 0.1 * i + 0.1 * rng.normal(size=200), ["noise"] * (i == 1)) for i in range(3)]
    told = tell_of_seeds(near)
    assert isinstance(told, str)
    assert "noise in 1" in told
    far = tell_of_seeds([*near, refit(4, rows - 2)])
    assert isinstance(far, Finding)
    assert far.name == "seed"
    assert far.nats.mean == pytest.approx(2.2, abs=0.05)
    assert far.nats.standard_error < 0.02
    diverged = tell_of_seeds([*near, refit(5, np.full(200, np.nan), ["diverged"])])
    assert isinstance(diverged, Finding)
    assert diverged.title == "1 of 4 refits with other seeds diverged"
