"""``torchrun -m vaekit fit``: one artifact of several processes, and a run that is restarted after one was killed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from training.ranks_at_work import free_port

SOURCE = Path(__file__).parents[2] / "src"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
KILL = """
import os, runpy, signal, sys
import vaekit.training.ranks as ranks
import vaekit.training.run_state as run

load = run.Run.load

def telling(self, *arguments):
    load(self, *arguments)
    print(f"rank {self.world.rank} goes on in epoch {self.epoch}, step {self.steps_done}", file=sys.stderr)

run.Run.load = telling
if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    average, steps = ranks.Ranks.average, 0
    def counting(*arguments):
        global steps
        steps += 1
        if steps == 30:
            os.kill(os.getpid(), signal.SIGKILL)
        return average(*arguments)
    ranks.Ranks.average = counting
sys.argv[0] = "vaekit"
runpy.run_module("vaekit", run_name="__main__")
"""


def torchrun(*arguments, restarts=0):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    # torchrun looks at its processes every 2 s, so that one that is left alone has time to say so before it is ended
    command += ["--monitor-interval", "2", "--max-restarts", str(restarts)]
    return [*command, *map(str, arguments)]


@pytest.fixture
def fit(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.normal(size=(120, 2)) @ rng.normal(size=(2, 5)))
    return [
        "fit",
        tmp_path / "rows.npy",
        "--latent",
        2,
        "--network",
        "mlp:hidden=8",
        "--epochs",
        12,
        "--samples",
        5,
    ]


def weights(artifact):
    return load_file(artifact / "model.safetensors")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_torchrun_restarts_a_run_whose_rank_was_killed_and_the_artifact_is_that_of_one_process(tmp_path, fit):
    (tmp_path / "kill.py").write_text(KILL)
    options = [*fit, "-o", tmp_path / "two.vae"]
    two = subprocess.run(
        torchrun(tmp_path / "kill.py", *options, restarts=1),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert two.returncode == 0, two.stderr
    assert "another process of the run is gone" in two.stderr
    assert two.stdout.count("artifact ") == 1
    for rank in range(2):  # 7 steps an epoch: killed in the second step of the fifth, whose beginning is kept
        assert f"rank {rank} goes on in epoch 5, step 0" in two.stderr
    assert not (tmp_path / "two.vae.training").exists()
    one = subprocess.run(
        [sys.executable, "-m", "vaekit", *map(str, fit), "-o", tmp_path / "one.vae"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert one.returncode == 0, one.stderr
    first, second = weights(tmp_path / "one.vae"), weights(tmp_path / "two.vae")
    assert first.keys() == second.keys()
    assert max(abs(first[name] - second[name]).max() for name in first) < 2e-5


def test_processes_that_were_told_of_other_numbers_say_so():
    program = (
        "import sys; from vaekit.training.process_group import process_group\nwith process_group(): pass"
    )
    with_port = {
        **ENVIRONMENT,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "VAEKIT_MEETING": "60",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**with_port, "RANK": str(rank), "WORLD_SIZE": str(size)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, size in ((0, 2), (1, 3))
    ]
    for process in processes:
        assert "WORLD_SIZE" in process.communicate(timeout=100)[1]
        assert process.returncode == 1
