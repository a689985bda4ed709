"""Learning with labels of which some are missing: against sums by hand, exact evidence, and digits."""

from math import log
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from narrowing import known, untyped
from vaekit import VariationalAutoencoder, load
from vaekit.cli import main
from vaekit.data import read
from vaekit.errors import DataError, UsageError
from vaekit.evaluation import Estimate
from vaekit.likelihoods import GaussianLikelihood
from vaekit.networks import ConditionedInput
from vaekit.objectives import Elbo, SemiSupervised
from vaekit.posteriors import DiagonalPosterior
from vaekit.priors import StandardPrior
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae
from vaekit.vae import VAE

LABELS, COLUMNS, LATENT = 3, 4, 2


def linear():
    """A linear-Gaussian model under every label: x = W z + V y + m + s e."""
    with seeded(0):
        encoder = ConditionedInput(nn.Linear(COLUMNS + LABELS, 2 * LATENT), width=LABELS)
        decoder = ConditionedInput(nn.Linear(LATENT + LABELS, COLUMNS), width=LABELS)
        likelihood = GaussianLikelihood((COLUMNS,), scale="fixed", value=0.7)
        parts = encoder, DiagonalPosterior(LATENT), StandardPrior((LATENT,)), decoder, likelihood
        return VAE(*parts, nn.Linear(COLUMNS, LABELS)).double()


def log_joint(model, x):
    """Exact log p(x, y) for every label, (batch, labels)."""
    layer = model.parts["decoder"].network
    weight, shift = layer.weight[:, :LATENT], layer.weight[:, LATENT:]
    covariance = weight @ weight.T + 0.49 * torch.eye(COLUMNS, dtype=x.dtype)
    p = MultivariateNormal((shift + layer.bias[:, None]).T, covariance)
    return p.log_prob(x[:, None]) - log(LABELS)


def data(n, seed=1):
    with seeded(seed):
        return torch.randn(n, COLUMNS, dtype=torch.float64)


def one_hot(indices):
    return nn.functional.one_hot(indices, LABELS).double()


class SameNoise(DiagonalPosterior):
    """Draws that are the means, so that two ways of evaluating a bound meet the same latents."""

    def forward(self, features):
        q = super().forward(features)
        untyped(q).rsample = lambda shape=(): q.mean.expand(*shape, *q.mean.shape)
        return q


def test_bounds_are_the_sums_by_hand():
    model, x = linear(), data(6)
    model.parts["posterior"] = SameNoise(LATENT)
    c = torch.zeros(6, LABELS, dtype=torch.float64)
    c[:3] = one_hot(torch.tensor([0, 2, 1]))
    result = SemiSupervised(alpha=0.3)(model, x, c)
    probabilities = model.classify(x).probs
    under = torch.stack(
        [Elbo()(model, x, one_hot(torch.full((6,), y))).bound - log(LABELS) for y in range(LABELS)], 1
    )
    labelled = (c * under).sum(1)
    unlabelled = (probabilities * under).sum(1) - (probabilities * probabilities.log()).sum(1)
    torch.testing.assert_close(result.bound, torch.cat([labelled[:3], unlabelled[3:]]))
    taught = 0.3 * (c * probabilities.log().nan_to_num()).sum(1)
    torch.testing.assert_close(result.surrogate, result.bound + taught)
    torch.testing.assert_close(result.reconstruction - result.kl, result.bound)


def test_bounds_are_below_the_exact_evidence_and_tight_where_the_posteriors_are_exact():
    model, x = linear(), data(800)
    y = torch.arange(800) % LABELS
    exact = log_joint(model, x)
    with torch.no_grad(), seeded(2):
        labelled = SemiSupervised()(model, x, one_hot(y)).bound
        missing = SemiSupervised()(model, x, torch.zeros(800, LABELS, dtype=x.dtype)).bound
    for gaps in (exact.gather(1, y[:, None])[:, 0] - labelled, exact.logsumexp(1) - missing):
        gap = Estimate.of(gaps.detach())
        assert gap.mean > 4 * gap.standard_error
    # One latent, and its exact posterior N(w'(x - V y - m) / M, s^2 / M); the exact classifier as well.
    with torch.no_grad():
        layer = untyped(model.parts["decoder"].network)
        layer.weight[:, 1] = 0
        w, shift = layer.weight[:, 0], layer.weight[:, LATENT:]
        precision = w @ w + 0.49
        encoder = untyped(model.parts["encoder"].network)
        encoder.weight.zero_()
        encoder.bias.zero_()
        encoder.weight[0, :COLUMNS] = w / precision
        encoder.weight[0, COLUMNS:] = -(w @ shift) / precision
        encoder.bias[0] = -(w @ layer.bias) / precision
        for _ in range(50):  # the soft bound of log-variances is not the identity: solve for what it is given
            variance = model.encode(x[:1], one_hot(y[:1])).variance[0]
            wanted = torch.stack([0.49 / precision, torch.ones_like(precision)])
            encoder.bias[LATENT:] += wanted.log() - variance.log()
    model.classify = lambda x: torch.distributions.Categorical(logits=log_joint(model, x))
    with torch.no_grad(), seeded(3):
        exact = log_joint(model, x)
        labelled = SemiSupervised()(model, x, one_hot(y)).bound
        missing = SemiSupervised()(model, x, torch.zeros(800, LABELS, dtype=x.dtype)).bound
    for gaps in (exact.gather(1, y[:, None])[:, 0] - labelled, exact.logsumexp(1) - missing):
        gap = Estimate.of(gaps)
        assert abs(gap.mean) < 4 * gap.standard_error + 1e-9


@pytest.mark.parametrize("told", [True, False])
def test_gradients_reach_encoder_decoder_and_classifier(told):
    model, x = linear(), data(5)
    c = one_hot(torch.arange(5) % LABELS) * told
    SemiSupervised()(model, x, c).surrogate.mean().backward()
    for name in ("encoder", "decoder", "classifier"):
        assert all(known(p.grad).abs().sum() > 0 for p in model.parts[name].parameters()), name
    model.zero_grad()
    SemiSupervised(alpha=0)(model, x, c).surrogate.mean().backward()
    assert all(bool(known(p.grad).any()) != told for p in model.parts["classifier"].parameters())


def test_the_weight_of_a_label_is_the_paper_s():
    objective = SemiSupervised(alpha=0.1)
    objective.count_labels(torch.cat([torch.eye(2), torch.zeros(8, 2)]))
    assert objective.rows_a_label == 5


def test_it_is_refused_without_labels():
    sentence = Sentence.parse(objective="m2")
    for width in (0, 1):
        with pytest.raises(UsageError, match="categorical condition"):
            build_vae(sentence, (4,), 2, condition=width)
    rows = pd.DataFrame({"a": np.arange(40.0) % 9, "b": np.arange(40.0) % 7, "k": ["u", "v"] * 20})
    for condition in (None, "b:continuous", ["k", "b"]):
        vae = VariationalAutoencoder(2, objective="m2", condition=condition, epochs=1)
        with pytest.raises(UsageError, match="categorical condition"):
            vae.fit(rows if condition else rows[["a", "b"]])
    plain = VariationalAutoencoder(2, epochs=1).fit(rows[["a", "b"]])
    with pytest.raises(UsageError, match="objective=m2"):
        plain.predict_labels(rows[["a", "b"]])
    with pytest.raises(DataError, match="missing"):
        VariationalAutoencoder(2, condition="k", epochs=1).fit(rows.replace({"k": {"v": None}}))


@pytest.mark.parametrize("missing", [None, float("nan"), ""])
def test_labels_of_text_may_be_missing(missing):
    kinds = np.array(["u", "v", missing] * 20, dtype=object)
    rows = pd.DataFrame({"a": np.arange(60.0) % 11, "b": np.arange(60.0) % 7, "k": kinds})
    vae = VariationalAutoencoder(2, objective="m2", condition="k", epochs=1, random_state=0).fit(rows)
    assert vae.label_names() == ("u", "v")
    assert set(vae.predict_labels(rows)) <= {"u", "v"}
    assert list(vae.sample(3, given="data", random_state=0).columns) == ["a", "b", "k"]
    assert all(any(row) for row in known(vae.schema_.conditions).seen)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    data = read("digits")
    x, y = data.values.reshape(len(data), -1), known(data.labels).astype(int)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    given = y[:1500].copy()
    given[100:] = -1
    vae = VariationalAutoencoder(
        10, objective="m2", condition="labels", network="mlp:hidden=128", epochs=5, random_state=0
    ).fit(x[:1500], given)
    path = tmp_path_factory.mktemp("m2") / "digits.vae"
    vae.save(path)
    return SimpleNamespace(x=x[1500:], y=y[1500:], vae=vae, path=path)


def test_a_hundred_labels_of_digits_teach_the_others(digits):
    assert (digits.vae.predict_labels(digits.x).astype(int) == digits.y).mean() > 0.55  # chance is 0.1
    probabilities = digits.vae.predict_label_probabilities(digits.x)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_rows_without_a_label_take_the_most_probable_and_are_scored_under_all(digits):
    vae, few = digits.vae, digits.x[:12]
    guessed = {"labels": vae.predict_labels(few)}
    np.testing.assert_array_equal(vae.transform(few), vae.transform(few, conditions=guessed))
    np.testing.assert_array_equal(vae.reconstruct(few), vae.reconstruct(few, conditions=guessed))
    under = [vae.score_samples(few, conditions={"labels": np.full(12, y)}, samples=20) for y in range(10)]
    expected = np.logaddexp.reduce(under) - log(10)
    np.testing.assert_allclose(vae.score_samples(few, samples=20), expected, rtol=1e-4)
    mixed = np.where(np.arange(12) % 2, -1, 3)
    scores = vae.score_samples(few, conditions={"labels": mixed}, samples=20)
    np.testing.assert_allclose(scores, np.where(mixed == -1, expected, under[3]), rtol=1e-4)
    with pytest.raises(UsageError, match="every label is missing"):
        vae.evaluate(few)
    assert vae.evaluate(few, conditions={"labels": mixed}, samples=5).examples == 6


def test_save_and_load_keep_the_classifier(digits):
    again = load(digits.path)
    np.testing.assert_array_equal(
        again.predict_label_probabilities(digits.x), digits.vae.predict_label_probabilities(digits.x)
    )


def test_the_command_line_fits_with_missing_labels_and_classifies(tmp_path, capsys):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 200)
    rows = pd.DataFrame(rng.normal(size=(200, 3)) + 3 * kind[:, None], columns=["a", "b", "c"])
    rows["kind"] = np.where(np.arange(200) < 60, np.array(["low", "high"])[kind], "")
    table, model, out = (str(tmp_path / name) for name in ("rows.csv", "m.vae", "labels.csv"))
    rows.to_csv(table, index=False)
    fit = ["fit", table, "-o", model, "--condition", "kind", "--objective", "m2", "--latent", "2"]
    assert main([*fit, "--epochs", "20", "--samples", "5"]) == 0, capsys.readouterr().err
    for source in (rows, rows.drop(columns="kind")):
        source.to_csv(table, index=False)
        assert main(["classify", model, table, "-o", out]) == 0, capsys.readouterr().err
        found = pd.read_csv(out)
        assert list(found.columns) == ["label", "probability_high", "probability_low"]
        assert untyped(found["label"] == np.array(["low", "high"])[kind]).mean() > 0.8
