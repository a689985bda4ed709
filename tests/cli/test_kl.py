"""``vaekit kl``: two files in, numbers out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tyro

import vaekit

pytest.importorskip("vaekit.cli.options", reason="the shared parts of the command line are not here")

from vaekit.cli.kl_verb import Kl
from vaekit.errors import DataError
from vaekit.gaussian import Gaussian, jeffreys, kl_divergence, wasserstein


@pytest.fixture
def files(tmp_path):
    p, q = tmp_path / "p.json", tmp_path / "q.npz"
    p.write_text('{"mean": [1.0, 0.0], "covariance": [[2.0, 0.5], [0.5, 1.0]]}')
    np.savez(q, mean=[0.0, 0.0], variance=[1.0, 2.0])
    gaussians = (
        Gaussian([1.0, 0.0], covariance=[[2.0, 0.5], [0.5, 1.0]]),
        Gaussian([0.0, 0.0], variance=[1.0, 2.0]),
    )
    return p, q, gaussians


def parse(*arguments):
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes)
    return tyro.cli(Kl, args=[str(a) for a in arguments], config=config)


def test_prints_the_divergence(files, capsys):
    p, q, pair = files
    assert parse(p, q).run() == 0
    out = capsys.readouterr().out
    assert out == f"{float(kl_divergence(*pair)):.12g} nats\n"


def test_json_keeps_every_digit(files, capsys):
    p, q, pair = files
    assert parse(p, q, "--json", "--all", "--steps").run() == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kl"]["value"] == float(kl_divergence(*pair))
    assert document["dimension"] == 2
    assert document["p"]["parameterisation"] == "covariance"
    assert document["family"]["jeffreys"]["value"] == float(jeffreys(*pair))
    assert document["family"]["wasserstein"] == {
        "value": float(wasserstein(*pair)),
        "text": f"{float(wasserstein(*pair)):.12g}",
        "infinite": False,
        "unit": "units of the data",
    }
    assert document["steps"]["value"] == document["kl"]["value"]
    # 2 S_q - S_p has the determinant -0.25: chi-squared diverges.
    assert document["family"]["chi_squared"] == {"value": None, "text": "inf", "infinite": True}


def test_all_prints_a_line_for_each_member(files, capsys):
    p, q, _ = files
    assert parse(p, q, "--all").run() == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("  ")[0] for line in lines]
    assert {"kl(P, Q)", "kl(Q, P)", "jeffreys", "hellinger", "wasserstein", "fisher_rao, at least"} <= set(
        names
    )
    assert any(line.startswith("chi_squared") and line.endswith("inf") for line in lines)


def test_steps_show_these_numbers(files, capsys):
    p, q, _ = files
    assert parse(p, q, "--steps").run() == 0
    out = capsys.readouterr().out
    assert "tr(S_q^-1 S_p)" in out
    assert "+2.5 " in out
    assert out.splitlines()[-1].startswith("KL(p || q) = ")


def test_samples_against_parameters(files, tmp_path, capsys):
    p, _, _ = files
    x = tmp_path / "x.csv"
    x.write_text("a,b\n0,1\n1,0\n2,5\n3,1\n")
    assert parse(x, p, "--json").run() == 0
    document = json.loads(capsys.readouterr().out)
    X = np.array([[0, 1], [1, 0], [2, 5], [3, 1.0]])
    expected = kl_divergence((X.mean(0), np.cov(X.T)), ([1.0, 0.0], [[2.0, 0.5], [0.5, 1.0]]))
    assert document["kl"]["value"] == pytest.approx(float(expected), rel=1e-12)


def test_infinity_is_said_in_both_ways(tmp_path, capsys):
    p, q = tmp_path / "p.json", tmp_path / "q.json"
    p.write_text('{"mean": [0, 0], "variance": [1, 1]}')
    q.write_text('{"mean": [0, 0], "variance": [1, 0]}')
    assert parse(p, q).run() == 0
    assert capsys.readouterr().out == "inf nats\n"
    assert parse(p, q, "--json").run() == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kl"] == {"value": None, "text": "inf", "infinite": True, "unit": "nats"}
    assert parse(p, q, "--all").run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("wasserstein")).split()[1] == "1"
    assert next(line for line in lines if line.startswith("jeffreys")).split()[1] == "inf"


def test_fewer_samples_than_dimensions_explain_an_infinity(files, tmp_path, capsys):
    rng, few, many, flat = (
        np.random.default_rng(0),
        tmp_path / "few.npy",
        tmp_path / "many.csv",
        tmp_path / "q.json",
    )
    np.save(few, rng.normal(size=(3, 5)))
    np.savetxt(many, rng.normal(size=(40, 5)), delimiter=",")
    told = "few.npy: the covariance has rank 2 in 5 dimensions, since 3 samples span at most 2: the Gaussian is flat"
    for pair in ((few, many), (many, few)):
        assert parse(*pair).run() == 0
        out, err = capsys.readouterr()
        assert out == "inf nats\n"
        assert told in err
        assert "give more than 5 samples" in err
        assert err.count("\n") == 1
    assert parse(few, many, "--json").run() == 0
    assert told in json.loads(capsys.readouterr().out)["notes"][0]
    assert parse(many, many).run() == 0
    assert capsys.readouterr().err == ""
    flat.write_text('{"mean": [0, 0], "variance": [1, 0]}')
    assert parse(files[0], flat).run() == 0
    err = capsys.readouterr().err
    assert "the covariance has rank 1 in 2 dimensions: the Gaussian is flat" in err
    assert "give a covariance of full rank" in err


def test_bad_files_are_bad_data(files, tmp_path):
    p, q, _ = files
    with pytest.raises(DataError, match="is not there") as caught:
        parse(p, tmp_path / "none.json").run()
    assert caught.value.exit_code == 3
    other = tmp_path / "three.json"
    other.write_text('{"mean": [0, 0, 0], "scale": 1}')
    with pytest.raises(DataError, match="size 2 but q over size 3"):
        parse(p, other).run()
    flat = tmp_path / "flat.json"
    flat.write_text('{"mean": [0, 0], "variance": [1, 0]}')
    with pytest.raises(DataError, match="covariance of q is singular"):
        parse(p, flat, "--steps").run()
    assert q.exists()


def test_parsing_does_not_import_torch():
    source = str(Path(vaekit.__file__).parents[1])
    code = "import sys, vaekit.cli.kl_verb; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": source}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
