"""Every verb from the outside: exit status, stdout, stderr, files."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from narrowing import untyped
from vaekit.cli import main
from warm_processes import start_vaekit

FAST = ["--epochs", "2", "--network", "mlp:hidden=8", "--latent", "2", "--samples", "5"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table, its labels, and a model fitted to it."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)) @ rng.normal(size=(3, 4)) + [10, 0, -5, 100]
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"])
    frame.to_csv(folder / "table.csv", index=False)
    frame.assign(kind=["left", "right"] * 60).to_csv(folder / "labelled.csv", index=False)
    assert main(["fit", str(folder / "table.csv"), "-o", str(folder / "table.vae"), *FAST]) == 0
    assert main(["fit", "digits", "-o", str(folder / "digits.vae"), *FAST]) == 0
    return folder


def run(capsys, *arguments):
    capsys.readouterr()
    try:
        status = main([str(a) for a in arguments])
    except SystemExit as ending:
        status = ending.code
    out, err = capsys.readouterr()
    return status, out, err


def fails(capsys, status, *arguments):
    """Run, expect a status, and return the one line on stderr."""
    found, out, err = run(capsys, *arguments)
    assert found == status, err
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err
    assert err.startswith("vaekit: ")
    return err


def test_an_unknown_verb_is_answered_with_the_nearest(capsys):
    assert "unknown verb 'fti'; did you mean 'fit'? There are: fit, fit-prior" in fails(
        capsys, 2, "fti", "digits"
    )


def test_an_artifact_that_is_not_there_is_answered_with_what_may_have_been_meant(place, capsys):
    where = ["-o", place / "z.csv"]
    err = fails(capsys, 3, "encode", place / "tabel.vae", place / "table.csv", *where)
    assert "there is no artifact" in err
    assert "did you mean 'table.vae'? expected a folder made by `vaekit fit`" in err
    for absent in ("nofile.vae", "a.vae"):
        assert "did you mean" not in fails(capsys, 3, "encode", place / absent, place / "table.csv", *where)
    err = fails(capsys, 3, "encode", place / "table.csv", place / "table.vae", *where)
    assert (
        "table.csv is a file; an artifact is a folder made by `vaekit fit`, and is named before the data"
        in err
    )


def test_help_answers_without_importing_torch():
    code = (
        "import sys\n"
        "from vaekit.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as e: assert not e.code\n"
        "assert not {'torch', 'numpy', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for verb in (
        "fit",
        "fit-prior",
        "evaluate",
        "encode",
        "reconstruct",
        "score",
        "sample",
        "decode",
        "report",
        "info",
        "kl",
        "check",
        "explain-loss",
    ):
        assert f" {verb} " in done.stdout


def test_fit_json(capsys, tmp_path, place):
    folder = tmp_path / "m.vae"
    status, out, err = run(capsys, "fit", place / "table.csv", "-o", folder, *FAST, "--json")
    assert status == 0
    assert err.count("\n") == 1
    assert "98 training rows in memory; about" in err
    document = json.loads(out)
    assert document["artifact"] == str(folder)
    assert document["epochs"] == 2
    assert document["seconds"] > 0
    for split in ("validation", "test"):
        assert document[split]["split"] == split
        assert document[split]["log_likelihood"]["standard_error"] > 0
        assert document[split]["samples"] == 5
        assert (len(document[split]["baselines"]) >= 4) == (split == "test")
    assert sorted(os.listdir(folder)) == ["metrics.jsonl", "model.json", "model.safetensors", "report.html"]


def test_the_same_seed_gives_the_same_bytes(capsys, tmp_path, place):
    for name in ("one", "two"):
        assert run(capsys, "fit", place / "table.csv", "-o", tmp_path / f"{name}.vae", *FAST)[0] == 0
    first, second = (tmp_path / f"{n}.vae" / "model.safetensors" for n in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()


def test_evaluate_takes_the_held_out_split_of_its_own_data_and_all_of_others(capsys, place):
    status, out, _ = run(
        capsys, "evaluate", place / "table.vae", place / "table.csv", "--samples", 7, "--json"
    )
    assert status == 0
    own = json.loads(out)
    assert own["split"] == "test"
    assert 0 < own["examples"] < 60
    assert own["samples"] == 7
    assert len(own["baselines"]) >= 4
    assert {tuple(sorted(b)) for b in own["baselines"]} == {("advantage", "log_likelihood", "name")}
    assert own["elbo"]["mean"] <= own["log_likelihood"]["mean"] + 4 * own["elbo"]["standard_error"]
    assert own["bits_per_dimension"] == pytest.approx(-own["log_likelihood"]["mean"] / (4 * np.log(2)))
    sizes = {}
    for split in ("train", "validation", "test", "all"):
        _, out, _ = run(
            capsys,
            "evaluate",
            place / "table.vae",
            place / "table.csv",
            "--split",
            split,
            "--json",
            "--samples",
            2,
        )
        sizes[split] = json.loads(out)["examples"]
    assert sizes["all"] == 120 == sizes["train"] + sizes["validation"] + sizes["test"]
    pd.read_csv(place / "table.csv").iloc[:30].to_csv(place / "other.csv", index=False)
    _, out, _ = run(capsys, "evaluate", place / "table.vae", place / "other.csv", "--json", "--samples", 2)
    other = json.loads(out)
    assert (other["split"], other["examples"], other["baselines"]) == ("all", 30, [])


def test_other_data_have_no_test_split(capsys, place):
    pd.read_csv(place / "table.csv").iloc[:30].to_csv(place / "fewer.csv", index=False)
    line = fails(capsys, 3, "evaluate", place / "table.vae", place / "fewer.csv", "--split", "test")
    assert "is not the data" in line


@pytest.mark.parametrize("ending", ["csv", "tsv", "npy", "npz", "parquet", "json"])
def test_encode_decode_and_reconstruct_agree_through_files(capsys, tmp_path, place, ending):
    def out(name):
        return tmp_path / f"{name}.{ending}"

    model, data = place / "table.vae", place / "table.csv"
    assert run(capsys, "encode", model, data, "-o", out("z"))[0] == 0
    assert run(capsys, "decode", model, out("z"), "-o", out("x"))[0] == 0
    assert run(capsys, "reconstruct", model, data, "-o", out("r"))[0] == 0
    assert run(capsys, "score", model, data, "-o", out("s"), "--json")[0] == 0
    from vaekit.data import read

    assert read(str(out("z"))).values.shape == (120, 2)
    assert read(str(out("s"))).values.shape == (120, 1 if ending == "npy" else 4), "an array has no names"
    np.testing.assert_allclose(read(str(out("x"))).values, read(str(out("r"))).values, rtol=1e-4)
    if ending == "csv":
        assert list(pd.read_csv(out("r"))) == ["a", "b", "c", "d"]


def test_encode_and_score_write_the_same_bytes_twice(capsys, tmp_path, place):
    for verb in ("encode", "score"):
        for name in ("one", "two"):
            run(capsys, verb, place / "table.vae", place / "table.csv", "-o", tmp_path / f"{verb}{name}.csv")
        assert (tmp_path / f"{verb}one.csv").read_bytes() == (tmp_path / f"{verb}two.csv").read_bytes()


def test_sample_rows_and_pictures(capsys, tmp_path, place):
    status, out, _ = run(capsys, "sample", place / "table.vae", "-n", 50, "-o", tmp_path / "s.csv", "--json")
    assert (status, json.loads(out)["shape"]) == (0, [50, 4])
    rows = pd.read_csv(tmp_path / "s.csv")
    assert abs(untyped(rows["d"]).mean() - 100) < 5
    run(capsys, "sample", place / "table.vae", "-n", 50, "-o", tmp_path / "m.csv", "--mean")
    assert pd.read_csv(tmp_path / "m.csv").var().sum() < rows.var().sum()
    assert run(capsys, "sample", place / "digits.vae", "-n", 16, "-o", tmp_path / "s.png")[0] == 0
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert "picture" in fails(capsys, 3, "sample", place / "table.vae", "-n", 2, "-o", tmp_path / "s.png")


def test_info_and_report(capsys, tmp_path, place):
    status, out, _ = run(capsys, "info", place / "table.vae", "--json")
    document = json.loads(out)
    assert (status, document["latent"], document["epochs"]) == (0, 2, 2)
    assert document["sentence"]["network"].startswith("mlp:hidden=8,")
    status, out, _ = run(capsys, "info", place / "table.vae")
    assert "likelihood" in out
    status, out, _ = run(
        capsys, "report", place / "table.vae", "--output", tmp_path / "r.html", "--samples", 5
    )
    assert status == 0
    assert "table.csv" in (tmp_path / "r.html").read_text()


def test_a_label_is_kept_and_never_trained_on(capsys, tmp_path, place):
    data = place / "labelled.csv"
    refused = fails(capsys, 2, "fit", data, "-o", tmp_path / "l.vae", *FAST, "--likelihood", "gaussian")
    assert "column kind with text" in refused
    assert "--label" in refused
    assert run(capsys, "fit", data, "--label", "kind", "-o", tmp_path / "l.vae", *FAST)[0] == 0
    _, out, _ = run(capsys, "evaluate", tmp_path / "l.vae", data, "--json", "--samples", 2)
    assert json.loads(out)["split"] == "test", "the label of the fit is known"
    assert run(capsys, "encode", tmp_path / "l.vae", place / "table.csv", "-o", tmp_path / "z.csv")[0] == 0


def test_a_column_that_was_constant_and_no_longer_is_is_warned_about(capsys, tmp_path, place):
    frame = pd.read_csv(place / "table.csv").assign(e=7.0)
    frame.to_csv(tmp_path / "constant.csv", index=False)
    frame.assign(e=8.0).to_csv(tmp_path / "changed.csv", index=False)
    status, out, _ = run(capsys, "fit", tmp_path / "constant.csv", "-o", tmp_path / "c.vae", *FAST)
    assert status == 0
    assert "constant columns: e" in out
    _, _, err = run(capsys, "encode", tmp_path / "c.vae", tmp_path / "changed.csv", "-o", tmp_path / "z.csv")
    assert "column 'e' was constant" in err


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--latent", "0"], 2, "latent=0"),
        (["--learning-rate", "-1"], 2, "learning_rate=-1"),
        (["--epochs", "0"], 2, "epochs=0"),
        (["--patience", "0"], 2, "patience=0"),
        (["--validation", "1"], 2, "--validation 1"),
        (["--network", "mpl"], 2, "did you mean 'mlp'?"),
        (["--likelihood", "gausian"], 2, "did you mean 'gaussian'?"),
        (["--objective", "elbo:betta=2"], 2, "did you mean 'beta'?"),
        (["--network", "convolutional"], 2, "use mlp for tables"),
        (["--likelihood", "bernoulli"], 3, "fit these data: gaussian"),
    ],
)
def test_options_that_make_no_sense(capsys, tmp_path, place, options, status, message):
    line = fails(capsys, status, "fit", place / "table.csv", "-o", tmp_path / "m.vae", *options)
    assert message in line
    assert not (tmp_path / "m.vae").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["fit"], ["fitt", "x"], ["fit", "x", "--lattent", "2"], ["fit", "x", "--epochs", "many"]],
)
def test_usage_errors_end_with_2(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert err + out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n", "1 sample|rows"),
        (b"a,b\n1,2\n3\n4,5\n", "line 3"),
        (b"a,b\n,?\n,nan\n,\n,\n", "every value is missing"),
        (b"a,b\n1,2\n3,inf\n4,5\n7,8\n", "infinite"),
        (b"a,b\n1,2\n1,2\n1,2\n1,2\n", "constant"),
    ],
)
def test_files_that_cannot_be_used(capsys, tmp_path, content, message):
    import re

    (tmp_path / "bad.csv").write_bytes(content)
    line = fails(capsys, 3, "fit", tmp_path / "bad.csv", "-o", tmp_path / "m.vae", *FAST)
    assert re.search(message, line), line
    assert not (tmp_path / "m.vae").exists()


def test_no_such_file(capsys, tmp_path):
    assert "did you mean 'digits'?" in fails(capsys, 3, "fit", "digit", "-o", tmp_path / "m.vae")


def test_an_output_that_exists_asks_for_force_before_any_work(capsys, place):
    before = (place / "table.vae" / "model.safetensors").read_bytes()
    assert "--force" in fails(capsys, 3, "fit", "no-such-file", "-o", place / "table.vae")
    assert (place / "table.vae" / "model.safetensors").read_bytes() == before


def test_later_files_that_do_not_fit(capsys, tmp_path, place):
    frame = pd.read_csv(place / "table.csv")
    frame.rename(columns={"a": "aa"}).to_csv(tmp_path / "renamed.csv", index=False)
    line = fails(capsys, 3, "encode", place / "table.vae", tmp_path / "renamed.csv", "-o", tmp_path / "z.csv")
    assert "'a'" in line
    assert "'aa'" in line
    frame[["d", "c", "b", "a"]].to_csv(tmp_path / "reordered.csv", index=False)
    run(capsys, "encode", place / "table.vae", tmp_path / "reordered.csv", "-o", tmp_path / "one.csv")
    run(capsys, "encode", place / "table.vae", place / "table.csv", "-o", tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert fails(capsys, 3, "encode", place / "table.vae", "digits", "-o", tmp_path / "z.csv")


def test_divergence_ends_with_4_and_keeps_the_best_model(capsys, tmp_path, place):
    arguments = [
        "fit",
        place / "table.csv",
        "-o",
        tmp_path / "m.vae",
        "--learning-rate",
        "1e18",
        "--latent",
        "2",
    ]
    status, out, err = run(capsys, *arguments, "--epochs", 50, "--network", "mlp:hidden=8")
    *warnings, line = err.strip().splitlines()
    assert (status, out) == (4, "")
    assert [w.startswith("vaekit: warning: the loss became") for w in warnings[1:]] == [True] * 3
    assert "half the learning rate (3 of 3 times)" in warnings[3]
    assert "epoch" in line
    assert "learning rate" in line
    assert not (tmp_path / "m.vae.training").exists(), "there is nothing to go on with"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_saves_the_best_so_far_and_ends_with_130(tmp_path, place):
    folder = tmp_path / "m.vae"
    options = ["--epochs", "100000", "--network", "mlp:hidden=8", "--latent", "2", "--patience", "none"]
    options += ["--samples", "5", "--compile", "off"]  # so many epochs would be compiled first
    printed = (tmp_path / "out", tmp_path / "err")
    ours, theirs = multiprocessing.Pipe(duplex=False)
    arguments = ("fit", place / "table.csv", "-o", folder, *options)
    process = start_vaekit(arguments, printed, folder=tmp_path, epochs=theirs)
    while ours.recv() < 5:
        assert process.is_alive()
    os.kill(process.pid, signal.SIGINT)
    process.join(120)
    assert process.exitcode == 130, printed[1].read_text()
    assert "interrupted" in printed[0].read_text()
    assert "--resume" in printed[1].read_text()
    assert json.loads((folder / "model.json").read_text())["stopped"] == "interrupted"
    assert main(["info", str(folder)]) == 0


def test_kl_says_the_number_the_family_and_the_derivation(capsys, tmp_path):
    (tmp_path / "p.json").write_text('{"mean": [1.0], "covariance": [[4.0]]}')
    (tmp_path / "q.json").write_text('{"mean": [0.0], "variance": [1.0]}')
    exact = 0.5 * (4 + 1 - 1 - np.log(4))
    status, out, _ = run(capsys, "kl", tmp_path / "p.json", tmp_path / "q.json")
    assert status == 0
    assert float(out.split()[0]) == pytest.approx(exact, rel=1e-11)
    _, out, _ = run(capsys, "kl", tmp_path / "p.json", tmp_path / "q.json", "--all", "--steps", "--json")
    document = json.loads(out)
    assert document["kl"]["value"] == pytest.approx(exact, rel=1e-15)
    lines = document["derivation"]["lines"]
    assert [line["value"] for line in lines] == pytest.approx([exact] * len(lines), rel=1e-12)
    assert document["family"]["hellinger"]["value"] < 1
    line = fails(capsys, 3, "kl", tmp_path / "p.json", tmp_path / "none.json")
    assert "none.json" in line


def test_check_ends_with_1_where_it_names_a_mistake_and_0_where_all_is_well(capsys, tmp_path):
    text = "import torch\ndef my_kl(mu, log_var):\n    return {} * torch.sum(mu**2 + log_var.exp() - 1 - log_var, 1)\n"
    (tmp_path / "right.py").write_text(text.format("0.5"))
    (tmp_path / "wrong.py").write_text(text.format("1.0"))
    status, out, _ = run(capsys, "check", tmp_path / "right.py", "--map", "kl_loss=my_kl", "--json")
    assert (status, json.loads(out)["ok"]) == (0, True)
    status, out, _ = run(capsys, "check", tmp_path / "wrong.py", "--map", "kl_loss=my_kl")
    assert status == 1
    assert "1/2" in out
    assert "ROLE=NAME" in fails(capsys, 2, "check", tmp_path / "wrong.py", "--map", "kl_loss")


def test_explain_loss(capsys):
    arguments = ["--reconstruction", "mean-squared-error", "--kl-weight", "0.00025", "--dimensions", "12288"]
    status, out, _ = run(capsys, "explain-loss", *arguments, "--json")
    assert status == 0
    assert "1.536" in out  # w * D / 2
    assert fails(capsys, 2, "explain-loss", "--reconstruction", "mean-squarred-error", "--dimensions", "3")


def test_models_lists_the_literature_and_fit_takes_a_name(capsys, place):
    status, out, _ = run(capsys, "models", "--json")
    assert status == 0
    names = [model["name"] for model in json.loads(out)["models"]]
    assert {"vae", "vamp", "iwae"} <= set(names)
    status, out, _ = run(capsys, "models", "vamp")
    assert (status, "prior=vamp:components=500" in out) == (0, True)
    named = ["fit", place / "table.csv", "-o", place / "named.vae", "--model", "beta-vae", *FAST]
    assert run(capsys, *named, "--prior", "gaussian")[0] == 0
    _, out, _ = run(capsys, "info", place / "named.vae", "--json")
    sentence = json.loads(out)["sentence"]
    assert sentence["objective"].startswith("elbo:beta=4")
    assert sentence["prior"] == "gaussian"
    status, _, err = run(capsys, "fit", place / "table.csv", "--model", "betavae", *FAST)
    assert status == 2
    assert "did you mean 'beta-vae'" in err
