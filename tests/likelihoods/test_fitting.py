"""Every likelihood through the estimator: fitted, saved, loaded, in the units of the data."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris

import vaekit
from likelihoods.cases import PSEUDO, suitable_data
from narrowing import known, untyped
from vaekit import VariationalAutoencoder
from vaekit.cli import main
from vaekit.errors import DataError, DataWarning
from vaekit.sentence import PARTS, parse

FAST = {"epochs": 2, "network": "mlp:hidden=8", "random_state": 0, "patience": None}
LONGER = {
    "epochs": 25,
    "batch_size": 64,
    "network": "mlp:hidden=32",
    "learning_rate": 1e-2,
    "random_state": 0,
}
KINDS = [kind for kind in PARTS["likelihood"] if kind not in PSEUDO]  # those are in test_ms_ssim.py


@pytest.mark.parametrize("kind", KINDS)
def test_fit_save_and_load_give_the_same_bytes(tmp_path, kind):
    x = suitable_data(kind)
    vae = VariationalAutoencoder(2, **FAST, likelihood=kind).fit(x)
    vae.save(tmp_path / "model.vae")
    loaded = vaekit.load(tmp_path / "model.vae")
    for make in (
        lambda model: model.transform(x),
        lambda model: model.score_samples(x, samples=5),
        lambda model: model.reconstruct(x),
        lambda model: model.sample(20, random_state=3, noise=True),
    ):
        assert make(vae).tobytes() == make(loaded).tobytes()
        assert np.isfinite(make(vae)).all()
    drawn = torch.from_numpy(vae.schema_.transform(vae.sample(20, random_state=3, noise=True)))
    assert untyped(vae.model_.parts["likelihood"].support).contains(drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_the_baselines_are_of_the_same_measure(kind):
    x = suitable_data(kind, rows=120)
    vae = VariationalAutoencoder(2, **FAST, likelihood=kind).fit(x[:80])
    result = vae.evaluate(x[80:], samples=5, train=x[:80])
    names = " ".join(baseline.name for baseline in result.baselines)
    expected = {
        "density": "Gaussians",
        "unit": "Bernoullis",
        "counts": "negative binomials",
        "levels": "categoricals",
        "mixed": "independent columns",
    }[parse("likelihood", kind).part.traits.measure]
    assert expected in names
    assert all(np.isfinite(baseline.log_likelihood.mean) for baseline in result.baselines)


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if parse("likelihood", k).part.traits.scaling == "standardize"]
)
def test_multiplying_the_data_by_1000_moves_a_density_by_log_1000_per_dimension(kind):
    x = untyped(load_iris()).data
    plain = VariationalAutoencoder(2, **FAST, likelihood=kind).fit(x).score_samples(x, samples=5)
    moved = (
        VariationalAutoencoder(2, **FAST, likelihood=kind).fit(1000 * x).score_samples(1000 * x, samples=5)
    )
    np.testing.assert_allclose(plain - moved, 4 * np.log(1000), atol=1e-3)


def grey_images():
    return np.round(untyped(load_digits()).images[:80, None] * 15.9).astype(np.uint8)


def test_eight_bits_move_the_continuous_bernoulli_by_log_255_per_pixel():
    images = grey_images()
    options = {**FAST, "likelihood": "continuous-bernoulli"}
    unit = VariationalAutoencoder(2, **options).fit(images / np.float32(255))
    eight_bit = VariationalAutoencoder(2, **options).fit(images)
    a, b = unit.score_samples(images / np.float32(255), samples=5), eight_bit.score_samples(images, samples=5)
    np.testing.assert_allclose(a - b, 64 * np.log(255), rtol=1e-6)
    results = [
        vae.evaluate(data, samples=5, train=data)
        for vae, data in ((unit, images / np.float32(255)), (eight_bit, images))
    ]
    for one, other in zip(results[0].baselines, results[1].baselines, strict=True):
        assert one.log_likelihood.mean - other.log_likelihood.mean == pytest.approx(
            64 * np.log(255), rel=1e-5
        )


@pytest.mark.parametrize("kind", ["categorical", "discretized-logistic"])
def test_eight_bit_images_are_modelled_as_whole_numbers(kind):
    images = grey_images()
    vae = VariationalAutoencoder(
        2, **{**FAST, "network": "convolutional:channels=4,hidden=8"}, likelihood=kind
    )
    vae.fit(images)
    assert (vae.schema_.scaling, vae.schema_.scale) == ("levels", (1.0,))
    drawn = vae.sample(3, noise=True, random_state=0)
    assert drawn.shape == (3, 1, 8, 8)
    assert (drawn == np.round(drawn)).all()
    assert drawn.max() > 1
    assert drawn.max() <= 255
    scores = vae.score_samples(images, samples=5)
    assert (scores < 0).all()  # the logarithm of a probability
    result = vae.evaluate(images, samples=5)
    assert result.bits_per_dimension == pytest.approx(-result.log_likelihood.mean / 64 / np.log(2))
    with pytest.raises(
        DataError,
        match=rf"{kind} accepts whole numbers from 0 to 255, .*not whole.*np\.round\(255 \* x\).*bernoulli",
    ):
        VariationalAutoencoder(2, **FAST, likelihood=kind).fit(images / 256)


@pytest.mark.parametrize("kind", PARTS["likelihood"])
def test_later_data_are_held_to_the_same_support(kind):
    x = suitable_data(kind)
    vae = VariationalAutoencoder(2, **FAST, likelihood=kind).fit(x)
    later = x.copy()
    later[3, 1] = -2.5  # of an image, a channel
    if untyped(vae.model_.parts["likelihood"].support).contains(later):
        assert np.isfinite(vae.score_samples(later, samples=5)).all()
        return
    with pytest.raises(DataError, match=r"-2\.5"):
        vae.transform(later)
    if vae.model_.has_log_likelihood:
        with pytest.warns(DataWarning, match=r"-2\.5"):
            scores = vae.score_samples(later, samples=5)
        assert np.flatnonzero(~np.isfinite(scores)).tolist() == [3]
        assert scores[3] == -np.inf
    with pytest.raises(DataError, match=r"-2\.5"):
        VariationalAutoencoder(2, **FAST, likelihood=kind).fit(x, validation=later)


def test_a_negative_binomial_learns_the_dispersion_and_beats_its_baselines():
    """Two kinds of rows: what independent columns cannot know, and a dispersion that is known."""
    rng = np.random.default_rng(0)
    means = np.array([[2.0] * 5 + [30.0] * 5, [30.0] * 5 + [2.0] * 5])[rng.integers(2, size=600)]
    x = rng.negative_binomial(4.0, 4.0 / (4.0 + means)).astype(float)
    options = {**LONGER, "epochs": 50, "batch_size": 16}
    vae = VariationalAutoencoder(1, **options, likelihood="negative-binomial").fit(x[:400])
    result = vae.evaluate(x[400:], samples=20, train=x[:400])
    independent = [baseline for baseline in result.baselines if baseline.name.startswith("independent")]
    assert len(independent) == 3
    assert all(known(b.advantage).mean > 8 * known(b.advantage).standard_error for b in independent)
    theta = untyped(vae.model_.parts["likelihood"].log_concentration).exp()
    assert ((theta > 2) & (theta < 7)).all()


def test_the_spread_of_each_example_is_learned():
    """Noise of 0.1 on one side of the data, and of 2 on the other: a single scale cannot say so."""
    rng = np.random.default_rng(0)
    side = rng.integers(2, size=(500, 1))
    x = (2 * side - 1) * 5 + rng.normal(size=(500, 3)) * np.where(side, 2.0, 0.1)
    scores = {}
    for scale in ("learned", "per-example"):
        vae = VariationalAutoencoder(1, **LONGER, likelihood=f"gaussian:scale={scale}").fit(x[:350])
        scores[scale] = vae.score(x[350:])
    assert scores["per-example"] > scores["learned"] + 1


def test_the_command_line_fits_counts(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "counts.csv", rng.poisson(3, size=(80, 3)), "%d", ",", header="a,b,c", comments="")
    options = ["--likelihood", "poisson", "--epochs", "1", "--network", "mlp:hidden=8", "--samples", "5"]
    assert main(["fit", str(tmp_path / "counts.csv"), "-o", str(tmp_path / "counts.vae"), *options]) == 0
    assert "independent Poissons" in capsys.readouterr().out
    assert vaekit.load(tmp_path / "counts.vae").sentence_.likelihood.kind == "poisson"
    (tmp_path / "half.csv").write_text("a,b,c\n1,2,3.5\n1,2,3\n")
    where = [str(tmp_path / "counts.vae"), str(tmp_path / "half.csv"), "-o", str(tmp_path / "s.csv")]
    assert main(["encode", *where]) == 3
    assert "poisson accepts counts" in capsys.readouterr().err
    assert main(["score", *where]) == 0
    assert "row 0 (column 'c' is 3.5)" in capsys.readouterr().err


def test_counts_get_a_negative_binomial_where_there_is_no_doubt():
    rng = np.random.default_rng(0)
    genes = rng.negative_binomial(0.5, 0.5 / (0.5 + rng.lognormal(1, 1, size=20)), size=(300, 20))
    chosen = VariationalAutoencoder(2, **FAST).fit(genes)
    assert chosen.sentence_.likelihood.kind == "negative-binomial"
    assert "counts" in chosen.likelihood_reason_
    for table in (
        genes + 0.5,
        genes - 1,
        np.log1p(genes),
        rng.integers(0, 6, size=(300, 5)),  # answers on a scale
        rng.integers(1950, 2020, size=(300, 2)),  # years
        np.round(rng.normal(40_000, 9000, size=(300, 2))),  # salaries
        rng.poisson(1.2, size=(3000, 4)),  # not overdispersed
        untyped(load_digits()).data,
    ):
        chosen = VariationalAutoencoder(2, **{**FAST, "epochs": 1}).fit(table).sentence_.likelihood
        assert chosen.kind in ("gaussian", "mixed"), "not one family of counts for all columns"
