"""A model of rows with holes is one of the cells that are there."""

import hashlib
from math import log

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal

from narrowing import known, untyped
from vaekit import VariationalAutoencoder
from vaekit.conformance.linear_gaussian import LinearGaussian
from vaekit.data import from_object, stream
from vaekit.errors import DataError, DataWarning, UsageError
from vaekit.estimator import load
from vaekit.evaluation import log_likelihood
from vaekit.likelihoods import GaussianLikelihood, ObservedCells
from vaekit.networks.network_inputs import FilledCells
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.training import StopRequest
from vaekit.vae import VAE

SMALL = {"latent": 2, "network": "mlp:hidden=16", "random_state": 0}


def holed(rows: np.ndarray, rate: float = 0.25, seed: int = 1) -> np.ndarray:
    x = rows.copy()
    x[np.random.default_rng(seed).random(x.shape) < rate] = np.nan
    return x


def numbers(n: int = 150, columns: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, columns)) + 0.3 * rng.normal(size=(n, columns))


def mixed(n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "a": a,
            "kind": rng.choice(["x", "y", "z"], n),
            "count": rng.poisson(np.exp(a / 2 + 3)),
            "on": rng.integers(0, 2, n).astype(float),
            "far": rng.standard_t(3, n) * 10,
        }
    )
    return frame.mask(rng.random(frame.shape) < 0.25)


def digest(vae: VariationalAutoencoder, rows) -> str:
    """The bytes of the weights and of all results."""
    found = hashlib.sha256()
    for name, value in sorted(vae.model_.state_dict().items()):
        found.update(name.encode() + value.numpy().tobytes())
    for result in (
        vae.transform(rows),
        vae.score_samples(rows, samples=10),
        vae.reconstruct(rows, as_frame=False),
    ):
        found.update(np.ascontiguousarray(result).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("objective", ["elbo", "iwae:samples=3"])
def test_what_a_missing_cell_contains_does_not_matter(objective):
    x = holed(numbers())
    filled = np.where(np.isnan(x), 1e30, x)
    options = {**SMALL, "epochs": 2, "objective": objective}
    expected = digest(VariationalAutoencoder(**options).fit(x), x)
    masked = np.ma.masked_array(filled, np.isnan(x))
    assert digest(VariationalAutoencoder(**options).fit(from_object(masked)), from_object(masked)) == expected
    codes = VariationalAutoencoder(**options, missing_values=[1e30]).fit(filled)
    assert digest(codes, filled) == expected


def test_mixed_columns_of_every_kind_are_fitted_and_saved(tmp_path):
    frame = mixed()
    kinds = {
        "a": "gaussian",
        "kind": "categorical",
        "count": "negative-binomial",
        "on": "bernoulli",
        "far": "student-t",
    }
    vae = VariationalAutoencoder(**SMALL, epochs=5, columns=kinds).fit(frame)
    assert np.isfinite(vae.score_samples(frame)).all()
    assert np.isfinite(vae.reconstruct(frame, as_frame=False)).all()
    vae.save(tmp_path / "m.vae")
    assert digest(load(tmp_path / "m.vae"), frame) == digest(vae, frame)
    assert vae.to_artifact().format_version == 4


@pytest.mark.parametrize("objective", ["elbo", "iwae:samples=3"])
def test_no_gradient_is_lost_to_a_hole(objective):
    frame = mixed()
    vae = VariationalAutoencoder(**SMALL, epochs=1, objective=objective).fit(frame)
    x = vae.fitted_model().to_model(vae.checked_rows(frame).values)
    assert x.isnan().any()
    vae.sentence_.objective.build()(vae.model_, x).surrogate.sum().backward()
    for name, parameter in vae.model_.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_marginal_of_the_observed_block_is_exact():
    """Importance sampling of a linear Gaussian model against the normal density of the observed columns."""
    truth = LinearGaussian.random(columns=4, latent=2)
    likelihood = GaussianLikelihood((4,), scale="fixed", value=truth.scale)
    decoder = torch.nn.Linear(2, 4)
    with torch.no_grad():
        decoder.weight.copy_(truth.weight)
        decoder.bias.copy_(truth.mean)
    encoder = torch.nn.Sequential(FilledCells(truth.mean.tolist()), torch.nn.Linear(4, 4))
    torch.manual_seed(0)
    parts = encoder, DiagonalPosterior(2), StandardPrior((2,)), decoder, ObservedCells(likelihood)
    x = holed(truth.draw(25).numpy(), 0.4)
    x[0] = np.nan
    found = log_likelihood(VAE(*parts).double(), torch.tensor(x), samples=1000)
    mean, covariance = (
        truth.mean.numpy(),
        (truth.weight @ truth.weight.T).numpy() + truth.scale**2 * np.eye(4),
    )
    for row, value, error in zip(x, found.values, found.standard_error, strict=True):
        there = ~np.isnan(row)
        block = covariance[np.ix_(there, there)]
        exact = multivariate_normal(mean[there], untyped(block)).logpdf(row[there]) if there.any() else 0.0
        assert abs(float(value) - exact) < 5 * float(error) + 1e-5


def test_a_column_in_other_units_moves_log_p_by_the_log_of_the_factor_where_it_is_observed():
    x = holed(numbers())
    scaled = x * [1, 1000, 1, 1]
    first = VariationalAutoencoder(**SMALL, epochs=2).fit(x).score_samples(x, samples=5)
    second = VariationalAutoencoder(**SMALL, epochs=2).fit(scaled).score_samples(scaled, samples=5)
    moved = np.where(np.isnan(x[:, 1]), 0.0, log(1000))
    np.testing.assert_allclose(first - second, moved, atol=2e-4)


def test_a_row_without_any_value_scores_exactly_nothing():
    x = holed(numbers())
    x[7] = np.nan
    vae = VariationalAutoencoder(**SMALL, epochs=2).fit(x)
    assert vae.score_samples(x[5:9])[2] == 0.0
    assert vae.evaluate(x[7:9], samples=5).log_likelihood.mean != 0.0
    assert np.isfinite(vae.transform(x)).all()


def test_a_column_without_any_value_is_left_out_with_a_warning():
    x = numbers()
    x[:, 2] = np.nan
    with pytest.warns(DataWarning, match="no value at all in x2"):
        vae = VariationalAutoencoder(**SMALL, epochs=1).fit(x)
    assert vae.model_.event_shape == (3,)
    assert np.isnan(vae.reconstruct(x)[:, 2]).all()
    assert vae.model_.likelihood_part.traits.takes_missing
    assert not isinstance(vae.model_.likelihood_part, ObservedCells)


def test_a_model_of_whole_rows_takes_holes_and_says_so():
    x, holes = numbers(), holed(numbers(), 0.1)
    vae = VariationalAutoencoder(**SMALL, epochs=3).fit(x)
    before = vae.score_samples(x)
    with pytest.warns(DataWarning, match="fitted to rows without missing values"):
        scores = vae.score_samples(holes)
    whole = ~np.isnan(holes).any(1)
    np.testing.assert_allclose(scores[whole], before[whole], rtol=1e-5)
    assert np.isfinite(scores).all()
    with pytest.warns(DataWarning):
        z = vae.transform(holes)
    filled = np.where(np.isnan(holes), x.mean(0), holes)
    np.testing.assert_allclose(
        z, vae.transform(filled), atol=2e-2
    )  # the mean of the training rows, not of all
    assert np.array_equal(vae.score_samples(x), before)


def test_holes_among_held_out_rows_alone():
    x = numbers()
    with pytest.warns(DataWarning, match="without missing values"):
        vae = VariationalAutoencoder(**SMALL, epochs=3).fit(x, validation=holed(x[:50]))
    assert np.isfinite(known(vae.history_.epochs[-1].validation_bound))
    assert vae.history_.best_epoch == 3
    alone = VariationalAutoencoder(**SMALL, epochs=3).fit(x, validation=x[:50])
    for name, value in alone.model_.state_dict().items():
        torch.testing.assert_close(vae.model_.state_dict()[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("prior", ["vamp:components=5", "gmm:components=2"])
def test_a_prior_is_fitted_to_holed_rows(prior):
    x = holed(numbers())
    vae = VariationalAutoencoder(**SMALL, epochs=2)
    if prior.startswith("vamp"):
        vae.set_params(prior=prior).fit(x)
    else:
        vae.fit(x).fit_prior(prior, x)
    assert np.isfinite(vae.score_samples(x)).all()


def test_labels_are_learned_from_rows_with_holes():
    x = numbers()
    y = (x[:, 0] > 0).astype(int)
    vae = VariationalAutoencoder(**SMALL, epochs=10, objective="m2", condition="labels").fit(holed(x), y)
    assert np.mean(vae.predict_labels(holed(x)).astype(int) == y) > 0.6


def test_a_missing_condition_is_refused():
    frame = mixed()
    with pytest.raises(DataError, match=r"condition 'kind' is missing in .* fill it in or remove the rows"):
        VariationalAutoencoder(**SMALL, epochs=1, condition="kind").fit(frame)
    vae = VariationalAutoencoder(**SMALL, epochs=1, condition="kind")
    vae.fit(frame.assign(kind=frame["kind"].fillna("x")))
    assert np.isfinite(vae.score_samples(frame.dropna(subset="kind"))).all()


def test_streams_and_files_give_the_same_as_memory(tmp_path):
    x = holed(numbers(400))
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    vae = VariationalAutoencoder(**SMALL, epochs=2, memory_limit="10kB").fit(mapped)
    streamed = VariationalAutoencoder(**SMALL, epochs=2, memory_limit="10kB")
    streamed.fit(stream(lambda: iter(x), memory_limit="10kB"))
    assert np.isfinite(streamed.score_samples(x)).all()
    assert streamed.schema_.missing_rates == vae.schema_.missing_rates
    resident = VariationalAutoencoder(**SMALL, epochs=2).fit(x)
    assert resident.schema_.missing_rates == vae.schema_.missing_rates
    np.testing.assert_allclose(resident.score_samples(x), resident.score_samples(mapped), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "names"),
    [({"objective": "vae-gan"}, "objective vae-gan needs whole rows.*elbo"),
     ({"likelihood": "ms-ssim"}, None)],
)  # fmt: skip
def test_parts_of_whole_rows_refuse_by_name(options, names):
    with pytest.raises((UsageError, DataError), match=names):
        VariationalAutoencoder(**SMALL, **options).fit(holed(np.clip(numbers(), 0, 1)))


def test_a_resumed_run_with_holes_has_the_same_bytes(tmp_path):
    frame, options = mixed(), {**SMALL, "epochs": 4, "objective": "iwae:samples=2"}
    whole = VariationalAutoencoder(**options).fit(frame)
    stop = StopRequest()
    kept = {"checkpoint": tmp_path / "run"}
    first = VariationalAutoencoder(**options)
    first.fit(
        frame, **kept, stop=stop, on_epoch=untyped(lambda metrics, best: metrics.epoch == 2 and stop.ask())
    )
    assert first.history_.stopped == "interrupted"
    again = VariationalAutoencoder(**options).fit(frame, **kept, resume=True)
    assert digest(again, frame) == digest(whole, frame)


def test_partial_fit_and_later_holes():
    x = numbers()
    vae = VariationalAutoencoder(**SMALL).partial_fit(x)
    with pytest.warns(DataWarning, match="without missing"):
        vae.partial_fit(holed(x))
    assert len(vae.history_.epochs) == 2
    assert all(p.isfinite().all() for p in vae.model_.parameters())


def test_own_networks_see_zeros_and_keep_their_shape():
    encoder, decoder = torch.nn.Linear(4, 4), torch.nn.Linear(2, 4)
    x = holed(numbers())
    vae = VariationalAutoencoder(2, encoder=encoder, decoder=decoder, epochs=1, random_state=0).fit(x)
    assert np.isfinite(vae.score_samples(x)).all()


def test_infinite_values_are_refused():
    x = numbers()
    x[3, 1] = np.inf
    with pytest.raises(ValueError, match="inf"):
        VariationalAutoencoder(**SMALL, epochs=1).fit(x)
    with pytest.raises(DataError, match=r"1 value of 600 infinite in 1 column .'x1'."):
        VariationalAutoencoder(**SMALL, epochs=1).fit(from_object(x))


def test_whole_rows_are_modelled_as_they_were_before_holes_were_known(tmp_path):
    """No mask, no wrapper, no new key: the same model, in the same format."""
    x = numbers()
    vae = VariationalAutoencoder(**SMALL, epochs=1).fit(x)
    assert type(vae.model_.likelihood_part) is GaussianLikelihood
    assert untyped(vae.model_.encoder).layers[0].in_features == 4
    assert vae.to_artifact().format_version == 1
    assert "missing_values" not in vae.schema_.to_json()
    assert vae.fitted_model().taking(vae.checked_rows(x)).model is vae.model_
    holes = VariationalAutoencoder(**SMALL, epochs=1).fit(holed(x))
    assert untyped(holes.model_.encoder).network.layers[0].in_features == 8
