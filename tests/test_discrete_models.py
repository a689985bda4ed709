"""Models with discrete latents from data to artifact: all verbs, the same bytes, and a codebook that is used."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from narrowing import known, untyped
from vaekit import VariationalAutoencoder, load
from vaekit.artifact import read_artifact
from vaekit.cli import main
from vaekit.evaluation import code_usage, fit_baselines
from vaekit.objectives import Elbo

POSTERIORS = [
    "quantized:codes=8",
    "quantized:codes=8,codebook=gradient,dimension=2",
    "residual-quantized:codes=8,levels=2",
    "categorical:categories=4,temperature=linear:1..0.5/2",
    "categorical:categories=4,straight_through=false",
]


@pytest.fixture(scope="module")
def digits():
    return (untyped(load_digits()).images[:, None] / 16).astype(np.float32)


@pytest.mark.filterwarnings("ignore::vaekit.errors.CodeCollapseWarning")
@pytest.mark.parametrize("prior", ["categorical:masses=learned", "autoregressive:hidden=16"])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_every_verb_and_the_same_bytes_after_saving(posterior, prior, digits, tmp_path):
    x = digits[:200]
    vae = VariationalAutoencoder(
        4, network="mlp:hidden=16", posterior=posterior, prior=prior, epochs=2, random_state=0
    )
    vae.fit(x)
    vae.save(tmp_path / "m.vae")
    again = load(tmp_path / "m.vae")
    z = vae.transform(x[:9])
    assert z.shape == (9, *vae.model_.latent_shape)
    for call in (
        lambda v: v.transform(x[:9]),
        lambda v: v.reconstruct(x[:9]),
        lambda v: v.sample(5, random_state=1),
        lambda v: v.score_samples(x[:9], samples=7),
        lambda v: v.inverse_transform(z),
    ):
        assert call(vae).tobytes() == call(again).tobytes()
        assert np.isfinite(call(vae)).all()
    for name, value in vae.model_.state_dict().items():
        assert torch.equal(value, again.model_.state_dict()[name]), name
    if posterior.startswith(("quantized", "residual")):
        names = {name.rpartition(".")[2] for name in read_artifact(tmp_path / "m.vae").model.state_dict()}
        assert {"vectors", "idle"} <= names
        assert ({"usage", "sums"} <= names) == ("gradient" not in posterior)
        assert vae.inverse_transform(z).tobytes() == vae.reconstruct(x[:9]).tobytes()
    one = vae.score_samples(x[3:4], samples=7)
    assert one == pytest.approx(vae.score_samples(x[:9], samples=7)[3:4], abs=1e-3)


@pytest.mark.parametrize("objective", ["elbo", "iwae:samples=4"])
def test_a_quantised_model_of_digits_uses_its_codes_and_reconstructs(objective, digits):
    # One seed, one tenth of a second an epoch: the figures are far from the limits.
    vae = VariationalAutoencoder(
        8,
        network="mlp:hidden=64",
        posterior="quantized:codes=16",
        prior="autoregressive:hidden=64",
        likelihood="bernoulli",
        objective=objective,
        epochs=25,
        batch_size=64,
        random_state=0,
    ).fit(digits[:1500], validation=digits[1500:])
    held_out = torch.from_numpy(digits[1500:])
    usage = code_usage(vae.model_, held_out)
    assert known(usage).used[0] >= 13
    assert known(usage).perplexity[0] > 8
    with torch.no_grad():
        result = Elbo()(vae.model_, held_out)
    options = {"latent": 8, "measure": "unit"}
    independent = fit_baselines(digits[:1500], digits[1500:], **options)[0]
    assert independent.name == "independent Bernoullis"
    assert result.reconstruction.mean() > independent.log_likelihood.mean + 5
    assert result.kl.mean() < 8 * np.log(16), "a prior that learns the codes costs less than a uniform one"


def test_the_command_line(digits, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("digits.npy", digits[:300])
    parts = "--posterior quantized:codes=32 --prior categorical --network mlp:hidden=32"
    assert main(f"fit digits.npy {parts} --epochs 8 --samples 5 -o m.vae".split()) in (0, None)
    out = capsys.readouterr().out
    assert "of 32 codes in use, perplexity" in out
    assert "the posterior is a single point" in out
    page = (tmp_path / "m.vae" / "report.html").read_text()
    assert "a lower bound, the ELBO" in page
    assert "perplexity" in page
    for verb in (
        "encode m.vae digits.npy -o z.npy",
        "reconstruct m.vae digits.npy -o r.npy",
        "sample m.vae -n 4 -o s.npy",
        "score m.vae digits.npy -o scores.csv",
        "evaluate m.vae digits.npy --samples 3",
        "info m.vae",
        "report m.vae --data digits.npy --samples 3",
    ):
        assert main(verb.split()) in (0, None), verb
    assert np.load("z.npy").shape == (300, 10)
    assert len(np.unique(np.load("z.npy"))) <= 32
