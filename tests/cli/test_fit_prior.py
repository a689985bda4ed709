"""``vaekit fit-prior``: from an artifact to an artifact with another prior."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.cli.test_command_line import FAST, fails, run

from vaekit.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 4)) + [10, 0, -5, 100]
    for name, rows in (("table.csv", x), ("other.csv", x[:80] + 0.1)):
        pd.DataFrame(rows, columns=["a", "b", "c", "d"]).to_csv(folder / name, index=False)
    assert main(["fit", str(folder / "table.csv"), "-o", str(folder / "table.vae"), *FAST]) == 0
    return folder


def test_it_writes_an_artifact_that_every_verb_works_on(capsys, place, tmp_path):
    new, table = tmp_path / "new.vae", place / "table.csv"
    arguments = ["fit-prior", place / "table.vae", table, "--prior", "gmm:components=2", "-o", new]
    status, out, err = run(capsys, *arguments, "--samples", "20", "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["prior"] == "gmm:components=2"
    assert document["advantage"]["mean"] > 0
    assert document["test"]["split"] == "test"
    assert document["test"]["baselines"], "the training rows are known"
    assert (new / "report.html").is_file()
    description = json.loads((new / "model.json").read_text())
    assert description["sentence"]["prior"] == "gmm:components=2"
    assert description["data"]["fitted_prior"] == {"source": str(table), "seed": 0}

    assert run(capsys, "sample", new, "-n", "3", "-o", tmp_path / "s.csv")[0] == 0
    status, out, _ = run(capsys, "evaluate", new, table, "--samples", "20", "--json")
    assert status == 0
    assert json.loads(out)["log_likelihood"] == document["test"]["log_likelihood"]

    again = tmp_path / "again.vae"
    assert run(capsys, *arguments[:-1], again, "--samples", "20")[0] == 0
    assert (again / "model.safetensors").read_bytes() == (new / "model.safetensors").read_bytes()


def test_other_data_will_do_and_text_says_what_was_won(capsys, place, tmp_path):
    status, out, _ = run(
        capsys,
        "fit-prior",
        place / "table.vae",
        place / "other.csv",
        "--prior",
        "gaussian",
        "-o",
        tmp_path / "n.vae",
    )
    assert status == 0
    assert "gain " in out
    assert "nats of ELBO per held-out example" in out


def test_mistakes(capsys, place, tmp_path):
    start = ["fit-prior", place / "table.vae", place / "table.csv", "-o"]
    assert "exists" in fails(capsys, 3, *start, place / "table.vae", "--prior", "gmm")
    assert "did you mean 'gmm'" in fails(capsys, 2, *start, tmp_path / "m.vae", "--prior", "gm")
    assert "nothing to fit" in fails(capsys, 2, *start, tmp_path / "m.vae", "--prior", "standard")
    assert not (tmp_path / "m.vae").exists()
