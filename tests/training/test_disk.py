"""A disk that gives out while training: the run goes on, says so once, and leaves nothing half-written."""

import errno
import os
import shutil
import subprocess

import pytest
import torch

from training.runs import make, run, table, weights
from vaekit.errors import TrainingWarning
from vaekit.training import Checkpoints
from vaekit.training.checkpoints import CheckpointFolder, numbered


def options(folder, **changes):
    return Checkpoints(**{"folder": folder / "run", "minutes": 1e-9, **changes})


class Disk:
    """Stands in for the disk: full for some of the syncs, counted from 0."""

    def __init__(self, monkeypatch, full):
        self.syncs, self.full, self.sync = 0, full, os.fsync
        monkeypatch.setattr("vaekit.training.checkpoints.os.fsync", self.fsync)

    def fsync(self, descriptor):
        self.syncs += 1
        if self.full(self.syncs - 1):
            raise OSError(errno.ENOSPC, "No space left on device")
        self.sync(descriptor)


def test_a_full_disk_is_said_once_and_the_run_ends_as_if_nothing_were(tmp_path, monkeypatch):
    x, model, other = table(), make(), make()
    run(model, x)
    Disk(monkeypatch, full=lambda sync: sync > 10)
    with pytest.warns(
        TrainingWarning, match="cannot write to .*: No space left on device; training goes on"
    ) as warned:
        history = run(other, x, checkpoints=options(tmp_path))
    assert len(warned) == 1
    assert history.stopped == "epochs"
    assert torch.equal(weights(other), weights(model))
    assert not list((tmp_path / "run").glob("*partial"))
    assert 1 <= len(numbered(tmp_path / "run")) <= 2, "one that is whole is kept, to make room for no other"


def test_a_disk_that_is_full_for_a_while_costs_no_checkpoint(tmp_path, monkeypatch):
    x, model, other = table(), make(), make(seed=9)
    run(model, x)
    Disk(monkeypatch, full=lambda sync: 4 <= sync < 20)
    with pytest.warns(TrainingWarning):
        run(make(), x, stop_after=20, checkpoints=options(tmp_path))
    run(other, x, checkpoints=options(tmp_path, resume=True))
    assert torch.equal(weights(other), weights(model))


def test_room_is_made_by_the_older_of_two(tmp_path, monkeypatch):
    disk = Disk(monkeypatch, full=lambda sync: sync == 4)  # two syncs a checkpoint: its file, and its folder
    folder = CheckpointFolder(options(tmp_path))
    tensors = {"x": torch.zeros(3)}
    assert all(folder.write(tensors, {"n": n}) for n in range(3))
    assert disk.syncs == 7
    found = folder.read()
    assert found is not None
    assert found[1] == {"n": 2}
    assert sorted(numbered(tmp_path / "run")) == [2, 3]


def test_a_folder_that_is_removed_is_made_again(tmp_path):
    x, model, other = table(), make(), make()
    run(model, x)
    chosen = options(tmp_path)
    history = run(other, x, checkpoints=chosen, on_epoch=lambda *_: shutil.rmtree(chosen.folder))
    assert torch.equal(weights(other), weights(model))
    assert history.stopped == "epochs"


def test_a_place_that_is_gone_or_never_was_does_not_end_the_run(tmp_path):
    for folder in (tmp_path / "nowhere" / "run", tmp_path / "file" / "run"):
        (tmp_path / "file").write_text("")
        model = make()
        with pytest.warns(TrainingWarning, match=f"cannot write to {folder}") as warned:
            history = run(model, table(), checkpoints=Checkpoints(folder=folder, minutes=1e-9))
        assert history.stopped == "epochs"
        assert len(warned) == 1


def test_a_small_disk(tmp_path):
    """A real one, where this process may mount it."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount")
    try:
        x, model, other = table(), make(), make()
        run(model, x)
        with pytest.warns(TrainingWarning, match="No space left on device"):
            run(other, x, checkpoints=options(place))
        assert torch.equal(weights(other), weights(model))
        assert not list((place / "run").glob("*partial"))
        assert numbered(place / "run"), "the last one that fitted is still there"
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_checkpoints_for_improvements_take_a_small_share_of_the_time(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("vaekit.training.checkpoints.time.perf_counter", lambda: now)
    folder = CheckpointFolder(Checkpoints(folder=tmp_path / "run", minutes=5))
    assert not folder.is_cheap(1000)
    now += 0.02 / 0.02 + 0.1
    assert folder.is_cheap(1000), "a guess: a fiftieth of a second for the sync"
    assert not folder.is_cheap(50_000_000), "and a second for every 50 MB"
    now += 298
    assert not folder.is_due()
    now += 1
    assert folder.is_due()


def test_the_cost_of_the_last_one_counts(tmp_path, monkeypatch):
    times = iter([0.0, 10.0, 13.0, 13.1, 163.1])  # made; started; written; 0.1 s later; 150.1 s later
    monkeypatch.setattr("vaekit.training.checkpoints.time.perf_counter", lambda: next(times))
    folder = CheckpointFolder(Checkpoints(folder=tmp_path / "run", minutes=5))
    assert folder.write({"x": torch.zeros(1)}, {})
    assert not folder.is_cheap(1)
    assert folder.is_cheap(1), "3 s are 2 % of 150 s"
