"""The table of models: every sentence builds, and the names of the largest collection are all there."""

import pytest
import torch

from vaekit.errors import UsageError
from vaekit.runtime.randomness import seeded
from vaekit.sentence import PARTS, Sentence, build_vae
from vaekit.sentence.literature import MODELS, find_model, resolve

# Every class of pythae 0.1.2's pythae.models, its base class and its autoencoder without noise included.
PYTHAE = {
    "AE", "VAE", "BetaVAE", "VAE_LinNF", "VAE_IAF", "DisentangledBetaVAE", "FactorVAE", "BetaTCVAE", "IWAE", "MIWAE",
    "PIWAE", "CIWAE", "MSSSIM_VAE", "WAE_MMD", "INFOVAE_MMD", "VAMP", "SVAE", "PoincareVAE", "Adversarial_AE", "VAEGAN",
    "VQVAE", "HVAE", "RAE_GP", "RAE_L2", "RHVAE", "HRQVAE",
}  # fmt: skip
SMALL = {"network": "mlp:hidden=8"}
BUILT = [model for model in MODELS if not model.is_left_out]


def test_names_are_unique_and_rows_complete():
    assert len({model.name for model in MODELS}) == len(MODELS)
    for model in MODELS:
        assert model.title
        assert "(" in model.paper
        assert model.place
        assert set(model.parts) <= set(PARTS)
        assert model.parts or model.note, "what is left out says why"


@pytest.mark.parametrize("model", BUILT, ids=lambda model: model.name)
def test_every_sentence_builds_and_takes_a_finite_step(model):
    parts = SMALL | dict(model.parts)
    sentence = Sentence.parse(**parts)
    for room, spec in model.parts.items():
        assert getattr(sentence, room).kind == spec.partition(":")[0]
    image = "ms-ssim" in model.parts.get("likelihood", "") or "convolutional" in parts["network"]
    shape = (1, 12, 12) if image else (6,)
    with seeded(0):
        objective = sentence.objective.build()
        labels = 2 if objective.traits.needs_classifier else 0
        vae = build_vae(sentence, shape, latent=4, condition=labels)
        if hasattr(objective, "begin"):
            objective.begin(rows=8)
        if hasattr(objective, "build_opponent"):
            objective.build_opponent(vae)
        x = torch.rand(8, *shape).round()
        result = objective(vae, x, torch.eye(2)[[0, 1] * 4]) if labels else objective(vae, x)
    assert result.surrogate.isfinite().all()
    result.surrogate.mean().backward()
    assert any(parameter.grad is not None for parameter in vae.parameters())


def test_every_model_of_pythae_has_a_row():
    ours = {name for model in MODELS for name in model.pythae.split(", ") if name}
    assert ours == PYTHAE


def test_what_is_left_out_says_so_when_it_is_asked_for():
    with pytest.raises(UsageError, match=r"rhvae.*left out.*metric"):
        find_model("rhvae")
    assert {model.name for model in MODELS if model.is_left_out} == {"rhvae", "hrq-vae"}


def test_what_is_given_wins_over_the_named_model():
    given = {"prior": "standard", "posterior": None}
    assert resolve("vamp", given) == {"prior": "standard", "objective": "elbo"}
    assert resolve(None, {"prior": None}) == {}
