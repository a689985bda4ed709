"""Published experiments: the protocols are whole, and a run on made-up images measures what it says."""

import json
import lzma
from dataclasses import replace

import numpy as np
import pytest
import torch

from narrowing import known
from vaekit.cli import main
from vaekit.errors import DataError, UsageError
from vaekit.objectives import Elbo
from vaekit.reproductions import PROTOCOLS, find_protocol, reproduce
from vaekit.reproductions.curved_spaces import POINCARE, S_VAE
from vaekit.reproductions.mnist_images import DynamicBinarisation, ThreeSets, read_images
from vaekit.runtime.randomness import seeded
from vaekit.sentence import Sentence, build_vae

FEW = 40


@pytest.fixture
def made_up(monkeypatch):
    """Images that are read in place of MNIST's, grey or binary as they are asked for."""

    def read(images, held_out, *, data_dir, seed):
        with seeded(0):
            grey = torch.rand(3, FEW, 1, 28, 28)
        if images != "grey":
            grey = grey.round()
        return ThreeSets(grey[0], grey[1] if held_out else None, grey[2])

    monkeypatch.setattr("vaekit.reproductions.experiment.read_images", read)


def test_names_are_unique_and_every_sentence_builds_for_its_images():
    assert len({protocol.name for protocol in PROTOCOLS}) == len(PROTOCOLS)
    for protocol in PROTOCOLS:
        with torch.device("meta"):
            build_vae(Sentence.parse(**protocol.parts), (1, 28, 28), protocol.latent)
        assert set(protocol.to_json()) >= {"images", "importance_samples", "last_batch", "deviations"}
        curve = {f"epoch {epoch}" for epoch in protocol.curve}
        for name in protocol.published:
            assert name.startswith("test ") or name.split(", ")[1] in curve
    with pytest.raises(UsageError, match="did you mean 'classic-mnist'"):
        find_protocol("classic_mnist")


def test_a_run_measures_and_says_what_is_inside_its_spread(made_up, tmp_path, capsys):
    output = tmp_path / "result.json"
    assert main(["reproduce", "mean-field-static-mnist", "--epochs", "1", "-o", str(output)]) == 0
    result = json.loads(output.read_text())
    figures = {row["figure"]: row for row in result["figures"]}
    measured = figures["test negative log-likelihood"]
    assert measured["measured"] <= figures["test negative ELBO"]["measured"]
    assert measured["measured"] == pytest.approx(784 * np.log(2), rel=0.1), "made-up images are pure noise"
    assert measured["inside"] is False
    assert figures["negative ELBO, epoch 13"]["measured"] is None
    assert (result["epochs"], result["epochs_of_the_protocol"]) == (1, 167)
    assert "outside its spread" in capsys.readouterr().out


@pytest.mark.parametrize("table", [S_VAE, POINCARE])
def test_the_rows_of_a_table_differ_in_their_latent_space_alone(table):
    first = table[0]
    for row in table:
        assert (row.images, row.held_out, row.samples) == (first.images, first.held_out, first.samples)
        assert row.settings == first.settings
        assert row.parts["network"] == first.parts["network"]
        assert row.parts["objective"] == first.parts["objective"]
        flat = "gaussian" in row.name
        assert ("posterior" not in row.parts) is flat
        sphere = row.parts.get("prior") == "uniform-sphere"
        # a sphere of d dimensions lies in a space of d + 1
        assert row.name.endswith((f"-{row.latent - sphere}", "-mnist"))
    assert len({(row.latent, row.parts.get("posterior")) for row in table}) == len(table)


@pytest.mark.parametrize(
    "name", ["s-vae-mnist-2", "s-vae-gaussian-2", "poincare-mnist-2", "poincare-gaussian-2"]
)
def test_rows_on_curved_and_flat_spaces_run(made_up, name):
    result = reproduce(replace(find_protocol(name), samples=8), epochs=1)
    bound, likelihood = (row["measured"] for row in result["figures"])
    assert likelihood <= bound
    assert likelihood == pytest.approx(784 * np.log(2), rel=0.1), "made-up images are pure noise"
    assert result["figures"][1]["published"] > 100


def test_the_same_seed_gives_the_same_figures(made_up):
    first, second, other = (
        reproduce(find_protocol("classic-mnist"), epochs=2, seed=seed)["figures"] for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other
    assert first[1]["figure"] == "negative ELBO, epoch 2"


def test_dynamic_binarisation_draws_anew_at_every_step_and_not_in_evaluation():
    with seeded(0):
        model = build_vae(Sentence.parse(network="mlp:hidden=8"), (6,), latent=2)
    seen = []

    class Recorded(Elbo):
        def __call__(self, model, x, c=None):
            seen.append(x)
            return super().__call__(model, x, c)

    objective = DynamicBinarisation(Recorded())
    x = torch.full((50, 6), 0.3)
    model.train()
    objective(model, x)
    objective(model, x)
    model.eval()
    objective(model, x)
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], x)
    assert objective.schedules == {}
    assert 0.2 < seen[0].mean() < 0.4


def test_static_images_are_read_plain_and_compressed(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, size=(3, 784))
    text = "".join(" ".join(map(str, row)) + "\n" for row in images).encode()
    (tmp_path / "binarized_mnist_train.amat").write_bytes(text)
    with pytest.raises(DataError, match=r"binarized_mnist_valid.amat.*was not found"):
        read_images("static", 10_000, data_dir=tmp_path, seed=0)
    for name in ("valid", "test"):
        (tmp_path / f"binarized_mnist_{name}.amat.xz").write_bytes(lzma.compress(text))
    sets = read_images("static", 10_000, data_dir=tmp_path, seed=0)
    assert np.array_equal(sets.test.numpy().reshape(3, 784), images)
    assert torch.equal(sets.train, known(sets.held_out))
    assert len(read_images("static", 0, data_dir=tmp_path, seed=0).train) == 6
    (tmp_path / "binarized_mnist_train.amat").write_bytes(text[:-4])
    with pytest.raises(DataError, match="rows of 784"):
        read_images("static", 10_000, data_dir=tmp_path, seed=0)


def test_the_list_and_mistakes_on_the_command_line(capsys):
    assert main(["reproduce"]) == 0
    assert "classic-mnist" in capsys.readouterr().out
    assert main(["reproduce", "classic"]) == 2
    assert "classic-mnist" in capsys.readouterr().err
    assert main(["reproduce", "classic-mnist", "--epochs", "0"]) == 2
