"""Fit, prove and save from Python: the result, the callbacks, the messages, and the same bytes as the command line."""

import json
import signal

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.utils.validation import check_is_fitted

from narrowing import untyped
from vaekit import VariationalAutoencoder, fit_and_prove, load
from vaekit.application import evaluate_artifact, write_report
from vaekit.artifact import read_artifact
from vaekit.cli import main
from vaekit.errors import ArtifactError, CheckpointError, DataError, TrainingDivergedError, UsageError
from vaekit.training import StopRequest


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """The report takes longer than these fits."""
    monkeypatch.setattr("vaekit.report.render_report", lambda *_: "a page")


@pytest.fixture(scope="module")
def x():
    return untyped(load_iris()).data


def small(**options):
    return VariationalAutoencoder(2, network="mlp:hidden=8", **{"epochs": 3, "random_state": 0, **options})


def fit(x, folder, **options):
    return fit_and_prove(x, folder, estimator=small(), samples=5, **options)


def test_the_result_is_what_lies_on_disk(tmp_path, x):
    estimator, folder = small(), tmp_path / "iris.vae"
    result = fit_and_prove(x, folder, estimator=estimator, samples=5)
    assert (result.artifact, result.report.read_text()) == (folder, "a page")
    assert not (tmp_path / "iris.vae.training").exists()
    assert np.array_equal(load(folder).transform(x), result.estimator.transform(x))
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(estimator, "model_")
    assert (result.stopped_by, result.can_resume, result.was_finished) == (None, False, False)
    assert list(result.evaluations) == ["validation", "test"]
    again = evaluate_artifact(folder, x, samples=5)
    assert again.evaluation == result.evaluations["test"]
    assert again.has_training_rows
    assert {"independent Gaussians", "Gaussian copula"} <= {
        found.name for found in again.evaluation.baselines
    }


def test_without_an_estimator_one_of_seed_0_is_fitted(tmp_path, x):
    epochs = []

    def stop_at_once(metrics, is_best):
        epochs.append(metrics)
        stop.ask()

    stop = StopRequest()
    result = fit_and_prove(x, tmp_path / "a.vae", on_epoch=stop_at_once, stop=stop)
    assert (len(epochs), result.estimator.seed_, result.estimator.latent) == (1, 0, 10)


def test_the_command_line_leaves_the_same_bytes(tmp_path, x, capsys):
    np.save(tmp_path / "rows.npy", x)
    options = ["--latent", "2", "--network", "mlp:hidden=8", "--epochs", "3", "--samples", "5", "--json"]
    assert main(["fit", str(tmp_path / "rows.npy"), "-o", str(tmp_path / "line.vae"), *options]) == 0
    result = fit(str(tmp_path / "rows.npy"), tmp_path / "python.vae")
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "line.vae" / name).read_bytes() == (tmp_path / "python.vae" / name).read_bytes()
    printed, returned = json.loads(capsys.readouterr().out), json.loads(json.dumps(result.to_json()))
    differ = {key for key in printed if printed[key] != returned[key]}
    assert printed.keys() == returned.keys()
    assert differ == {"artifact", "report", "plan", "seconds"}, "the plan measures time"


def test_the_stages_and_callbacks_come_in_order(tmp_path, x):
    told = []
    fit(
        x,
        tmp_path / "a.vae",
        on_stage=told.append,
        on_plan=lambda plan: told.append(plan.epochs),
        on_epoch=lambda metrics, is_best: told.append(f"epoch {metrics.epoch}"),
    )
    assert told == ["training", 3, "epoch 1", "epoch 2", "epoch 3", "evaluating", "saving"]


def test_a_stopped_fit_is_saved_and_goes_on_to_the_same_bytes(tmp_path, x):
    stop = StopRequest()
    folder = tmp_path / "a.vae"

    def stop_after_two(metrics, is_best):
        if metrics.epoch == 2:
            stop.ask(signal.SIGTERM)

    stopped = fit(x, folder, stop=stop, on_epoch=stop_after_two)
    assert (stopped.stopped_by, stopped.can_resume, stopped.evaluations) == (signal.SIGTERM, True, {})
    assert read_artifact(folder).history.stopped == "interrupted"
    with pytest.raises(CheckpointError, match="give resume=True to go on with it, or force=True"):
        fit(x, folder)
    finished = fit(x, folder, resume=True)
    assert (finished.estimator.history_.stopped, finished.was_finished) == ("epochs", False)
    whole = fit(x, tmp_path / "b.vae")
    for name in ("model.safetensors", "model.json"):
        assert (folder / name).read_bytes() == (whole.artifact / name).read_bytes()
    there = fit(x, folder, resume=True)
    assert there.was_finished
    assert np.array_equal(there.estimator.transform(x), finished.estimator.transform(x))
    with pytest.raises(ArtifactError, match=r"of another run \(data\)"):
        fit(x[:-1], folder, resume=True)


def test_messages_speak_python(tmp_path, x):
    fit(x, tmp_path / "a.vae")
    with pytest.raises(ArtifactError, match="choose another path, or give force=True"):
        fit(x, tmp_path / "a.vae")
    assert fit(x, tmp_path / "a.vae", force=True).artifact.is_dir()
    for options, message in (
        ({"validation": 1.5}, r"^validation=1\.5: give a share between 0 and 1"),
        ({"checkpoint_minutes": 0}, "^checkpoint_minutes=0: give a positive number"),
        ({"samples": 0}, "^samples=0: give a whole number"),
    ):
        with pytest.raises(UsageError, match=message):
            fit_and_prove(x, tmp_path / "b.vae", **untyped(options))
    with pytest.raises(UsageError, match=r"give output='NAME\.vae'"):
        fit_and_prove(x)
    with pytest.raises(DataError, match="leave split out to use all rows"):
        evaluate_artifact(tmp_path / "a.vae", x[:30], split="test")
    assert not (tmp_path / "b.vae").exists()


def test_a_diverged_fit_says_where_its_best_weights_are(tmp_path, x, monkeypatch):
    usual = VariationalAutoencoder.fit

    def diverge(self, *arguments, **options):
        usual(self, *arguments, **options)
        raise TrainingDivergedError("the loss is not finite")

    monkeypatch.setattr(VariationalAutoencoder, "fit", diverge)
    with pytest.raises(
        TrainingDivergedError, match=r"not finite; the best weights so far \(epoch \d\) are in .*a\.vae$"
    ):
        fit(x, tmp_path / "a.vae")
    assert read_artifact(tmp_path / "a.vae").history.best_epoch
    assert not (tmp_path / "a.vae.training").exists()


def test_a_report_of_data_in_memory_shows_them_only_where_they_are_given(tmp_path, x):
    fit(x, tmp_path / "a.vae")
    without = write_report(tmp_path / "a.vae", tmp_path / "one.html", samples=5)
    assert "the array" in (without.without_data or "")
    assert write_report(tmp_path / "a.vae", tmp_path / "two.html", data=x, samples=5).without_data is None
    assert (tmp_path / "two.html").read_text() == "a page"
