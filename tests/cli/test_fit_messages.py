"""A fit and its verbs tell a person what they did otherwise than asked, what to expect, and what a result is worth."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vaekit import VariationalAutoencoder
from vaekit.artifact import read_artifact
from vaekit.cli import main
from vaekit.cli.printing import collapse_lines
from vaekit.sentence.literature import RECONSTRUCTIONS

FAST = ["--latent", "2", "--network", "mlp:hidden=8", "--epochs", "2", "--samples", "5"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("messages"), np.random.default_rng(0)
    numbers = pd.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "c"])
    numbers.to_csv(folder / "numbers.csv", index=False)
    pd.DataFrame([[0, 0, 0], [0, 1e6, 0], [0, 0, -80.0]], columns=["a", "b", "c"]).to_csv(
        folder / "far.csv", index=False
    )
    wide = pd.DataFrame(rng.normal(size=(60, 30)), columns=[f"column_{j}" for j in range(30)])
    wide["town"] = [f"t{i % 55}" for i in range(60)]
    wide.to_csv(folder / "wide.csv", index=False)
    many = pd.DataFrame({"x": rng.normal(size=300), "town": [f"t{i % 150}" for i in range(300)]})
    many.to_csv(folder / "many.csv", index=False)
    pd.DataFrame(rng.integers(0, 2, size=(60, 3)), columns=["a", "b", "c"]).to_csv(
        folder / "bits.csv", index=False
    )
    return folder


@pytest.fixture(scope="module")
def model(place: Path) -> Path:
    VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1).fit(pd.read_csv(place / "numbers.csv")).save(
        place / "model.vae"
    )
    return place / "model.vae"


def test_a_batch_larger_than_the_data_is_all_of_them_and_a_plan_has_the_evaluation(capsys, place):
    output = place / "numbers.vae"
    status, out, err = run(
        capsys, "fit", place / "numbers.csv", "-o", output, *FAST, "--batch-size", 500, "--json"
    )
    assert status == 0
    rows = len(pd.read_csv(place / "numbers.csv")) - sum(
        json.loads(out)[split]["examples"] for split in ("validation", "test")
    )
    assert f"--batch-size 500: there are {rows} training rows, and one batch is all of them" in err
    assert read_artifact(output).settings.batch_size == rows
    assert re.search(r"for at most 2, then (less than \d+|\d+) \w+ to evaluate the model", err)
    plan = json.loads(out)["plan"]
    assert 0 < plan["evaluation_seconds"] < 60


def test_resume_where_nothing_was_kept_is_said(capsys, place):
    output = place / "resumed.vae"
    status, _, err = run(capsys, "fit", place / "numbers.csv", "-o", output, *FAST, "--resume")
    assert status == 0
    assert "--resume: there is nothing to go on from in" in err
    assert "resumed.vae.training, so the training starts afresh" in err
    status, _, err = run(capsys, "fit", place / "numbers.csv", "-o", output, *FAST, "--resume")
    assert status == 0
    assert "afresh" not in err


def test_the_classic_losses_name_likelihoods(capsys, place):
    for loss, data, likelihood in (
        ("mse", "numbers.csv", "gaussian:scale=fixed,value=0.7071067811865476"),
        ("bce", "bits.csv", "bernoulli"),
    ):
        output = place / f"{loss}.vae"
        arguments = ["fit", place / data, "-o", output, *FAST, "--reconstruction", loss]
        status, out, _ = run(capsys, *arguments)
        assert status == 0
        assert f"likelihood   {likelihood} (asked for)" in out
        assert str(read_artifact(output).sentence.likelihood) == likelihood
        status, _, err = run(capsys, *arguments, "--force", "--likelihood", "laplace")
        assert status == 2
        assert f"--reconstruction {loss} with --likelihood laplace: both name the likelihood" in err
    status, _, err = run(
        capsys, "fit", place / "numbers.csv", "-o", place / "no.vae", "--reconstruction", "bce"
    )
    assert status == 3
    assert "[0, 1]" in err


def test_mse_is_the_squared_error_up_to_a_constant(place):
    numbers = pd.read_csv(place / "numbers.csv")
    estimator = VariationalAutoencoder(2, network="mlp:hidden=8", epochs=1, likelihood=RECONSTRUCTIONS["mse"])
    model = estimator.fit(numbers).model_
    assert estimator.schema_.scaling == "standardize"
    with torch.no_grad():
        decoded, x = model.decode(torch.zeros(4, 2)), torch.linspace(-2, 2, 12).reshape(4, 3)
        difference = ((x - decoded.mean) ** 2).sum(1) + decoded.log_prob(x)
    torch.testing.assert_close(difference, difference[:1].expand(4), rtol=0, atol=1e-4)


def test_a_likelihood_of_many_columns_is_a_table_and_asked_categories_are_taken(capsys, place):
    output = place / "wide.vae"
    status, out, err = run(capsys, "fit", place / "wide.csv", "-o", place / "without.vae", *FAST)
    assert status == 0
    assert "'town' is left out: text of 55 different values" in err
    assert "town" in out.split("left out", 1)[1].split("\n")[0]
    command = ["fit", place / "wide.csv", "-o", output, *FAST, "--column", "town=categorical"]
    status, out, _ = run(capsys, *command)
    assert status == 0
    for printed in (out, run(capsys, "info", output)[1]):
        assert "likelihood   mixed, of 31 columns" in printed
        assert "\n  column_0   gaussian\n" in printed
        assert "\n  town       categorical55\n" in printed
        assert "gaussianxgaussian" not in printed


def test_categories_beyond_what_a_reader_allows(capsys, place, tmp_path):
    data, output = place / "many.csv", tmp_path / "many.vae"
    status, _, err = run(capsys, "fit", data, "-o", output, *FAST)
    assert status == 3
    assert "--column town=categorical" in err
    assert run(capsys, "fit", data, "-o", output, *FAST, "--column", "town=categorical")[0] == 0
    assert run(capsys, "encode", output, data, "-o", tmp_path / "z.csv")[0] == 0
    pd.read_csv(data).to_parquet(tmp_path / "many.parquet")
    assert run(capsys, "encode", output, tmp_path / "many.parquet", "-o", tmp_path / "y.csv")[0] == 0
    assert (tmp_path / "y.csv").read_bytes() == (tmp_path / "z.csv").read_bytes()


def test_rows_far_outside_the_training_range_are_named(capsys, place, model, tmp_path):
    for verb in ("encode", "reconstruct"):
        status, _, err = run(capsys, verb, model, place / "far.csv", "-o", tmp_path / "z.csv")
        assert status == 0
        assert (
            "far.csv: 2 of 3 rows are far outside the range of the training rows, the first of them row 1"
            in err
        )
        assert "in column 'b'" in err
        status, _, err = run(capsys, verb, model, place / "numbers.csv", "-o", tmp_path / "z.csv")
        assert (status, err) == (0, "")


def test_collapse_is_said_where_a_model_is_printed_with_what_to_try(capsys, place, tmp_path):
    data, output = place / "numbers.csv", tmp_path / "dead.vae"
    slow = [
        "60" if option == "2" and before == "--epochs" else option for before, option in pairwise(["", *FAST])
    ]
    status, out, _ = run(capsys, "fit", data, "-o", output, *slow, "--objective", "elbo:beta=1000")
    assert status == 0
    printed = [out, run(capsys, "evaluate", output, data, "--samples", 5)[1]]
    for text in printed:
        assert "collapse     Posterior collapse: no latent dimension is active." in text
        assert "  try        Give the KL less weight (--objective elbo:beta=0.5)" in text
    assert collapse_lines([1.0, 1.0]) == collapse_lines(None) == []
