"""A fit that is stopped, refused, or cannot write where it should, from the outside."""

import errno
import json
import multiprocessing
import os
import sys

import numpy as np
import pandas as pd
import pytest

from narrowing import untyped
from vaekit.artifact import read_artifact
from vaekit.cli import main
from warm_processes import start_vaekit

FAST = ["--epochs", "3", "--network", "mlp:hidden=8", "--latent", "2", "--samples", "5"]
LONG = [
    *("--epochs", "1000000", "--network", "mlp:hidden=8", "--latent", "2", "--patience", "none"),
    *("--samples", "5", "--compile", "off"),  # so many epochs would be compiled first
]


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """The report takes longer than these fits."""
    monkeypatch.setattr("vaekit.report.render_report", lambda *_: "")


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)) @ rng.normal(size=(3, 4))
    pd.DataFrame(x, columns=["a", "b", "c", "d"]).to_csv(tmp_path / "table.csv", index=False)
    return str(tmp_path / "table.csv")


def run(capsys, *arguments):
    capsys.readouterr()
    status = main([str(a) for a in arguments])
    return status, *capsys.readouterr()


@pytest.fixture
def stopped(tmp_path, table, monkeypatch):
    """An artifact whose fit was stopped in its second epoch."""
    from vaekit.cli.progress import Progress

    def stop(self, metrics, is_best):
        if metrics.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "epoch", stop)
        assert main(["fit", table, "-o", str(tmp_path / "m.vae"), *FAST]) == 130
    return tmp_path / "m.vae"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_sigterm_saves_says_how_to_go_on_and_ends_with_143(tmp_path, table):
    folder = tmp_path / "m.vae"
    printed = (tmp_path / "out", tmp_path / "err")
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = start_vaekit(["fit", table, "-o", folder, *LONG], printed, folder=tmp_path, epochs=theirs)
    while ours.recv() < 5:
        assert process.is_alive()
    process.terminate()
    process.join(120)
    assert process.exitcode == 143, printed[1].read_text()
    assert (
        printed[1]
        .read_text()
        .endswith("\nvaekit: terminated; to go on, give the same command with --resume\n")
    )
    assert read_artifact(folder).history.stopped == "interrupted"
    assert len(list((tmp_path / "m.vae.training").glob("checkpoint-*.safetensors"))) >= 1


def test_a_stopped_fit_goes_on_with_resume_and_cleans_up(capsys, tmp_path, table, stopped):
    assert run(capsys, "fit", table, "-o", stopped, *FAST, "--resume")[0] == 0
    assert read_artifact(stopped).history.stopped == "epochs"
    assert not (tmp_path / "m.vae.training").exists()
    assert run(capsys, "fit", table, "-o", tmp_path / "whole.vae", *FAST)[0] == 0
    for name in ("model.safetensors", "model.json"):
        assert (stopped / name).read_bytes() == (tmp_path / "whole.vae" / name).read_bytes()
    status, out, err = run(capsys, "fit", table, "-o", stopped, *FAST, "--resume")
    assert (status, out) == (0, "")
    assert "nothing to resume" in err
    status, _, err = run(capsys, "fit", "digits", "-o", stopped, *FAST, "--resume")
    assert status == 3
    assert "of another run (data)" in err


def test_an_unfinished_training_is_not_passed_over_in_silence(capsys, table, stopped):
    status, _, err = run(capsys, "fit", table, "-o", stopped, *FAST)
    assert status == 3
    assert "--resume" in err
    assert "--force" in err
    assert run(capsys, "fit", table, "-o", stopped, *FAST, "--force")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latent", "3"], "latent was 2, and is 3"),
        (["--prior", "gaussian"], "prior was standard, and is gaussian"),
        (["--seed", "1"], "seed was 0, and is 1"),
        (["--learning-rate", "0.1"], "learning_rate was 0.003, and is 0.1"),
        (["digits"], " x 4 numbers ("),
    ],
)
def test_another_command_is_refused_and_the_difference_named(capsys, table, stopped, options, message):
    data = "digits" if options == ["digits"] else table
    more = [] if options == ["digits"] else options
    arguments = FAST if "--latent" not in more else [*FAST[:4], *FAST[6:]]
    status, _, err = run(capsys, "fit", data, "-o", stopped, *arguments, *more, "--resume")
    assert status == 3
    assert message in err


def test_resume_where_nothing_was_kept_begins_at_the_beginning(capsys, tmp_path, table):
    assert run(capsys, "fit", table, "-o", tmp_path / "m.vae", *FAST, "--resume")[0] == 0


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_minutes_that_make_no_sense(capsys, tmp_path, table, minutes):
    status, _, err = run(
        capsys, "fit", table, "-o", tmp_path / "m.vae", *FAST, f"--checkpoint-minutes={minutes}"
    )
    assert status == 2
    assert "--checkpoint-minutes" in err


def test_a_disk_that_is_full_at_the_end_does_not_lose_the_fit(capsys, tmp_path, table, monkeypatch):
    import tempfile

    import vaekit.artifact.saving

    write = vaekit.artifact.saving.write_folder
    place, elsewhere = tmp_path / "full", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()

    def full(folder, contents):
        if place in folder.parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, contents)

    monkeypatch.setattr(vaekit.artifact.saving, "write_folder", full)
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    monkeypatch.setattr("vaekit.training.checkpoints.CheckpointFolder.is_cheap", lambda self, size: True)
    status, out, err = run(capsys, "fit", table, "-o", place / "m.vae", *FAST)
    assert (status, out) == (3, "")
    [saved] = elsewhere.glob("*/m.vae")
    assert (
        f"No space left on device; free some space or choose another --output; the fitted model is in {saved}"
        in err
    )
    assert "give --resume" in err
    assert read_artifact(saved).history.stopped == "epochs"
    assert [path.name for path in place.iterdir()] == ["m.vae.training"]
    monkeypatch.setattr(vaekit.artifact.saving, "write_folder", write)
    assert run(capsys, "fit", table, "-o", place / "m.vae", *FAST, "--resume")[0] == 0
    for name in ("model.safetensors", "model.json"):
        assert (saved / name).read_bytes() == (place / "m.vae" / name).read_bytes()


def test_tensorboard_gets_a_curve_of_every_number(capsys, tmp_path, table):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    arguments = ["fit", table, "-o", tmp_path / "m.vae", *FAST, "--tensorboard", tmp_path / "logs"]
    assert run(capsys, *arguments)[0] == 0
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    found = [event.value for event in events.Scalars("validation_bound")]
    lines = (tmp_path / "m.vae" / "metrics.jsonl").read_text().splitlines()
    assert found == pytest.approx([json.loads(line)["validation_bound"] for line in lines], rel=1e-6)
    assert {"learning_rate", "gradient_norm", "clipped", "active_units", "rows_per_second"} <= set(
        untyped(events.Tags()["scalars"])
    )


def test_without_tensorboard_the_extra_is_named(capsys, tmp_path, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    status, _, err = run(
        capsys, "fit", table, "-o", tmp_path / "m.vae", *FAST, "--tensorboard", tmp_path / "logs"
    )
    assert status == 1
    assert "pip install 'vaekit[tensorboard]'" in err
