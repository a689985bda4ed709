"""The pseudo-likelihood: what it computes, what it trains, and what it refuses to report."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import vaekit
from narrowing import untyped
from vaekit import VariationalAutoencoder
from vaekit.cli import main
from vaekit.conformance import check_sentence
from vaekit.errors import UsageError
from vaekit.evaluation import evaluate, log_likelihood
from vaekit.likelihoods.ms_ssim import multi_scale_similarity, number_of_scales
from vaekit.sentence import Sentence, build_vae, parse

FAST = {"epochs": 2, "network": "mlp:hidden=8", "random_state": 0, "likelihood": "ms-ssim"}
WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
SHAPES = [(1, 8, 8), (3, 12, 17), (1, 28, 28), (1, 3, 4), (1, 64, 64)]


def pair(shape, seed=0, noise=0.2):
    """Two images that have much in common."""
    rng = np.random.default_rng(seed)
    x = rng.random(shape)
    return x, np.clip(x + noise * rng.normal(size=shape), 0, 1)


def by_hand(x, y):
    """Equation 7 place by place, with loops and numpy's own weighted means."""
    scales = number_of_scales(*x.shape[1:])
    exponents = WEIGHTS[:scales] / WEIGHTS[:scales].sum()
    total, light, exponent = 1.0, [], 1.0
    for scale, exponent in enumerate(exponents):
        if scale:
            height, width = (side // 2 for side in x.shape[1:])
            x, y = (
                np.array([[[image[c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(width)]
                           for i in range(height)] for c in range(len(image))])
                for image in (x, y)
            )  # fmt: skip
        side = min(11, (min(x.shape[1:]) - 1) // 2 * 2 + 1)
        r = np.arange(side) - side // 2
        window = np.exp(-(r[:, None] ** 2 + r[None] ** 2) / (2 * 1.5**2))
        light, structure = [], []
        for c in range(len(x)):
            for i in range(x.shape[1] - side + 1):
                for j in range(x.shape[2] - side + 1):
                    a, b = (image[c, i : i + side, j : j + side] for image in (x, y))
                    mean_a, mean_b = (np.average(patch, weights=window) for patch in (a, b))
                    var_a = np.average((a - mean_a) ** 2, weights=window)
                    var_b = np.average((b - mean_b) ** 2, weights=window)
                    both = np.average((a - mean_a) * (b - mean_b), weights=window)
                    light.append((2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4))
                    structure.append((2 * both + 9e-4) / (var_a + var_b + 9e-4))
        total *= np.mean(structure) ** exponent
    return total * np.mean(light) ** exponent


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_what_loops_over_the_equation_give(shape):
    x, y = pair(shape)
    found = multi_scale_similarity(torch.from_numpy(x), torch.from_numpy(y))
    assert found.item() == pytest.approx(by_hand(x, y), rel=1e-10)
    assert 0.1 < found.item() < 0.99


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_is_like_itself_and_likeness_is_mutual(shape):
    x, y = (torch.from_numpy(image).float() for image in pair(shape))
    assert torch.equal(multi_scale_similarity(x, x), torch.tensor(1.0))
    assert multi_scale_similarity(x, y) < 0.99
    torch.testing.assert_close(multi_scale_similarity(x, y), multi_scale_similarity(y, x))


def test_a_shift_of_a_grey_area_costs_luminance_alone():
    """Contrast and structure of constants are 1: what is left is the luminance of the coarsest scale."""
    for side in (8, 28, 64):
        scales = number_of_scales(side, side)
        exponent = WEIGHTS[scales - 1] / WEIGHTS[:scales].sum()
        x, y = (torch.full((1, side, side), grey, dtype=torch.float64) for grey in (0.4, 0.6))
        light = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
        assert multi_scale_similarity(x, y).item() == pytest.approx(light**exponent, rel=1e-9)


def test_opposites_are_less_alike_than_strangers_and_still_have_a_gradient():
    x = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    opposite = (1 - x).requires_grad_()
    mean = torch.full_like(x, 0.5)
    likeness = multi_scale_similarity(x, opposite)
    assert 0 <= likeness < multi_scale_similarity(x, mean) < 1
    (slope,) = torch.autograd.grad(likeness.log(), opposite)
    assert slope.isfinite().all()
    assert slope.abs().max() > 0


def test_gradients_agree_with_differences():
    likelihood = parse("likelihood", "ms-ssim:weight=3").build(event_shape=(2, 8, 8)).double()
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 2, 8, 8, generator=generator, dtype=torch.float64).requires_grad_()
    x = torch.rand(2, 2, 8, 8, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: likelihood(f).log_prob(x), features, fast_mode=True)


def test_the_score_is_the_weighed_distance_and_broadcasts():
    likelihood = parse("likelihood", "ms-ssim:weight=7").build(event_shape=(2, 8, 9))
    generator = torch.Generator().manual_seed(0)
    features, x = torch.randn(4, 5, 2, 8, 9, generator=generator), torch.rand(5, 2, 8, 9, generator=generator)
    scored = likelihood(features)
    assert scored.traits.has_density is False
    together = scored.log_prob(x)
    assert together.shape == (4, 5)
    for sample in range(4):
        for row in range(5):
            alone = 7 * (multi_scale_similarity(x[row], features[sample, row].sigmoid()) - 1)
            torch.testing.assert_close(together[sample, row], alone, rtol=1e-5, atol=1e-5)
    assert (together < 0).all()
    assert torch.equal(scored.sample((3,))[2], scored.mean)
    assert not scored.variance.any()


def test_extreme_features_have_finite_values_and_gradients():
    likelihood = parse("likelihood", "ms-ssim").build(event_shape=(1, 8, 8))
    signs = torch.randint(0, 2, (6, 1, 8, 8), generator=torch.Generator().manual_seed(0)).float() * 2 - 1
    features = torch.cat([signs, torch.ones(1, 1, 8, 8), -torch.ones(1, 1, 8, 8)]) * 1e4
    features.requires_grad_()
    for x in (torch.zeros(1, 8, 8), torch.ones(1, 8, 8), (signs[0] + 1) / 2):
        value = likelihood(features).log_prob(x)
        assert value.isfinite().all()
        assert torch.autograd.grad(value.sum(), features)[0].isfinite().all()


@pytest.mark.parametrize("shape", [(5,), (8, 8), (1, 2, 9)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(UsageError, match=r"at least 3 by 3 pixels.*bernoulli"):
        build_vae(Sentence.parse(likelihood="ms-ssim"), shape, 2)


def test_weights_and_units_that_make_no_sense_are_refused():
    for weight in ("0", "-1"):
        with pytest.raises(UsageError, match="positive"):
            parse("likelihood", f"ms-ssim:weight={weight}").build(event_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="a similarity has no units"):
        parse("likelihood", "ms-ssim").part((1, 8, 8), -3.0)


def images():
    return np.round(untyped(load_digits()).images[:120, None] * 15.9).astype(np.uint8)


def test_it_trains_and_what_it_has_survives_a_file_and_what_it_lacks_is_refused(tmp_path):
    x = images()
    vae = VariationalAutoencoder(
        4, **{**FAST, "epochs": 30, "network": "mlp:hidden=64"}, output_bias="none"
    ).fit(x)
    reconstructed = vae.reconstruct(x)
    assert reconstructed.min() >= 0
    assert reconstructed.max() <= 255
    alike, shuffled = (
        multi_scale_similarity(torch.tensor(x / 255.0), torch.tensor(image / 255.0)).mean()
        for image in (reconstructed, np.roll(reconstructed, 1, axis=0))
    )
    assert alike > shuffled + 0.1
    vae.save(tmp_path / "model.vae")
    loaded = vaekit.load(tmp_path / "model.vae")
    for make in (
        lambda model: model.transform(x),
        lambda model: model.reconstruct(x),
        lambda model: model.sample(5, random_state=3, noise=True),
    ):
        assert make(vae).tobytes() == make(loaded).tobytes()
    for refused in (vae.score_samples, vae.score, vae.evaluate):
        with pytest.raises(UsageError, match=r"no log-likelihood to report.*continuous-bernoulli"):
            refused(x)
    held = torch.rand(3, 1, 8, 8)
    with pytest.raises(UsageError, match="no log-likelihood"):
        log_likelihood(vae.model_, held, samples=2)
    with pytest.raises(UsageError, match="no log-likelihood"):
        evaluate(vae.model_, held, samples=2, seed=0, split="all")


def test_the_laws_say_what_they_did_not_look_at():
    findings = {finding.law: finding for finding in check_sentence(Sentence.parse(likelihood="ms-ssim"))}
    unseen = [finding for finding in findings.values() if finding.outcome == "not checked"]
    assert len(unseen) == 2
    assert all("for training alone" in finding.detail for finding in unseen)
    assert {finding.outcome for finding in findings.values()} == {"holds", "not checked"}


def test_the_command_line_goes_from_fit_to_report_and_says_what_there_is_not(tmp_path, capsys):
    artifact = str(tmp_path / "digits.vae")
    options = ["--likelihood", "ms-ssim", "--epochs", "2", "--network", "mlp:hidden=8"]
    assert main(["fit", "digits", "-o", artifact, *options]) == 0
    assert "evaluation   none" in capsys.readouterr().out
    assert main(["evaluate", artifact, "digits"]) == 2
    assert "no log-likelihood to report" in capsys.readouterr().err
    assert main(["score", artifact, "digits", "-o", str(tmp_path / "scores.csv")]) == 2
    assert "no log-likelihood to report" in capsys.readouterr().err
    assert main(["report", artifact, "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "This model has no log-likelihood" in page
    assert "is estimated by importance sampling" not in page


@pytest.mark.parametrize("brightness", [0.1, 0.5, 0.95])
def test_small_contrasts_do_not_drown_in_rounding_errors(brightness):
    """The variance as a mean of squares less a square, about zero, is off by a hundred times as much."""
    generator = torch.Generator().manual_seed(0)
    x, y = (brightness + 0.01 * torch.randn(20, 1, 28, 28, generator=generator) for _ in range(2))
    exact = multi_scale_similarity(x.double(), y.double())
    assert (multi_scale_similarity(x, y) - exact).abs().max() < 1e-6
