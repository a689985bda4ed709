"""A reproduction in several sittings ends with the figures of one; its times add up, and every departure is stated."""

import json
import lzma
from dataclasses import replace

import numpy as np
import pytest
import torch

from narrowing import untyped
from vaekit.cli import main
from vaekit.errors import CheckpointError, TrainingWarning, UsageError
from vaekit.reproductions import find_protocol, reproduce
from vaekit.reproductions.mnist_images import ThreeSets
from vaekit.reproductions.sittings import Sittings
from vaekit.runtime.randomness import seeded
from vaekit.training import StopRequest, TrainingSettings

ROWS = {"train": 50, "valid": 10, "test": 20}
STEPS = 4  # an epoch, of 50 rows by 16


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A tiny protocol on Larochelle's files, which are made up: the folder of those."""
    rng = np.random.default_rng(0)
    for name, rows in ROWS.items():
        images = rng.integers(0, 2, size=(rows, 784))
        text = "".join(" ".join(map(str, row)) + "\n" for row in images).encode()
        (tmp_path / f"binarized_mnist_{name}.amat.xz").write_bytes(lzma.compress(text))
    protocol = replace(
        find_protocol("mean-field-static-mnist"),
        name="tiny",
        parts={"network": "mlp:hidden=8", "likelihood": "bernoulli", "objective": "elbo:warmup=2"},
        latent=2,
        settings=TrainingSettings(epochs=3, batch_size=16, compile="off"),
        samples=4,
        curve=(1, 2),
    )
    monkeypatch.setattr("vaekit.reproductions.catalogue.PROTOCOLS", (protocol,))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class StopAfter(StopRequest):
    """Asks when it has been looked at so many times."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def __bool__(self):
        self.looks -= 1
        return self.looks < 0


def in_sittings(protocol, folder, looks, **options):
    """Reproduce by sittings of so many steps each; the last result, and how many there were."""
    for sitting in range(50):
        stop = StopAfter(looks)
        result = reproduce(protocol, folder=folder, resume=sitting > 0, stop=stop, **options)
        if result["finished"]:
            return result, sitting + 1
    raise AssertionError("it never ends")


@pytest.mark.parametrize("looks", [STEPS - 1, STEPS, 2 * STEPS])
def test_many_sittings_end_with_the_figures_of_one(tiny, tmp_path, looks):
    protocol = find_protocol("tiny")
    whole = reproduce(protocol, data_dir=tiny)
    parts, count = in_sittings(protocol, tmp_path / "kept", looks, data_dir=tiny)
    assert parts["figures"] == whole["figures"]
    measured = [row["figure"] for row in whole["figures"] if row["measured"] is not None]
    assert measured[0] == "negative ELBO, epoch 1"
    assert measured[-1] == "test negative log-likelihood"
    assert count > 1
    assert len(parts["sittings"]) == count
    assert parts["seconds"] == pytest.approx(sum(s["seconds"] for s in parts["sittings"]), abs=0.1 * count)


def test_images_that_are_binarised_at_every_step_go_on_with_the_same_noise(monkeypatch, tmp_path):
    def read(images, held_out, *, data_dir, seed):
        with seeded(0):
            grey = torch.rand(3, 40, 1, 28, 28)
        return ThreeSets(grey[0], None, grey[2].round())

    monkeypatch.setattr("vaekit.reproductions.experiment.read_images", read)
    published = find_protocol("iwae-5")
    protocol = replace(
        published, samples=4, settings=replace(published.settings, epochs=3, batch_size=16, compile="off")
    )
    whole = reproduce(protocol)
    parts, count = in_sittings(protocol, tmp_path / "kept", 2)
    assert count > 2
    assert parts["figures"] == whole["figures"]
    assert whole["best_epoch"] == 3, "nothing is held out, and the test images choose no weights"


def test_what_is_measured_at_the_end_waits_for_the_next_sitting_where_the_time_is_over(tiny, tmp_path):
    protocol = find_protocol("tiny")
    first = reproduce(protocol, data_dir=tiny, folder=tmp_path / "kept", stop=StopAfter(3 * STEPS))
    assert (first["finished"], first["stopped"], first["epochs"]) == (False, "epochs", 3)
    assert {row["measured"] for row in first["figures"] if row["figure"].startswith("test")} == {None}
    second = reproduce(protocol, data_dir=tiny, folder=tmp_path / "kept", resume=True)
    assert second["finished"]
    assert second["figures"] == reproduce(protocol, data_dir=tiny)["figures"]


def test_the_command_stops_in_time_says_how_to_go_on_and_tidies_up(tiny, capsys):
    command = ["reproduce", "tiny", "--data-dir", str(tiny), "-o", "tiny.json", "--device", "cpu"]
    assert main([*command, "--minutes", "1e-9"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "vaekit: 1e-09 minutes are over: 0 of 3 epochs, " in said.err
    assert "to go on, give the same command with --resume" in said.err
    assert not (tiny / "tiny.json").exists()
    assert main(command) == 3
    assert "tiny.json.training holds the checkpoints of a run; resume it" in capsys.readouterr().err
    assert main([*command, "--resume", "--batch-size", "8"]) == 3
    assert "batch_size was 16, and is 8" in capsys.readouterr().err
    assert main([*command, "--minutes", "0"]) == 2
    assert "minutes=0: give a positive number" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    said = capsys.readouterr()
    assert "vaekit: epoch 1 of 3: held-out bound -" in said.err
    assert "measuring on 20 test images, 4 samples each" in said.err
    assert "3 of 3 epochs (epochs), " in said.out
    assert "in 2 sittings on cpu" in said.out
    result = json.loads((tiny / "tiny.json").read_text())
    assert result["figures"] == reproduce(find_protocol("tiny"), data_dir=tiny)["figures"]
    assert not (tiny / "tiny.json.training").exists()


def test_a_stopped_run_s_json_is_the_result_so_far(tiny, capsys):
    assert main(["reproduce", "tiny", "--data-dir", str(tiny), "--minutes", "1e-9", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["finished"], result["stopped"], result["epochs"]) == (False, "interrupted", 0)
    assert (tiny / "tiny.training").is_dir()


def test_departures_from_the_protocol_are_stated(tiny):
    protocol = find_protocol("tiny")
    result = reproduce(protocol, data_dir=tiny, epochs=1, batch_size=25, learning_rate=2e-3, samples=2)
    stated = result["protocol"]["deviations"]
    assert stated.startswith(protocol.deviations)
    for each in (
        "epochs 1 instead of 3",
        "batch size 25 instead of 16",
        "learning rate 0.002 instead of 0.001",
        "importance samples 2 instead of 4",
    ):
        assert each in stated
    assert result["protocol"]["settings"]["batch_size"] == 25
    assert result["protocol"]["importance_samples"] == 2
    assert result["epochs_of_the_protocol"] == 3
    assert protocol.changed(batch_size=16, samples=4) == protocol
    for wrong in (
        {"epochs": 4},
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"samples": 0},
        {"samples": 5},
    ):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))}="):
            protocol.changed(**untyped(wrong))


def test_sittings_that_cannot_be_read_or_written(tmp_path):
    folder = tmp_path / "kept"
    sittings = Sittings(folder, {"device": "cpu"}, resume=True)
    sittings.measured["a"] = 1.0
    sittings.write()
    again = Sittings(folder, {"device": "cuda"}, resume=True)
    assert [s["device"] for s in again.to_json()] == ["cpu", "cuda"]
    assert again.measured == {"a": 1.0}
    assert Sittings(folder, {}, resume=False).measured == {}
    (folder / "sittings.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"sittings\.json cannot be read"):
        Sittings(folder, {}, resume=True)
    again.remove()
    (tmp_path / "file").write_text("")
    with pytest.warns(TrainingWarning, match="cannot write"):
        Sittings(tmp_path / "file", {}, resume=False).write()
