"""``vaekit fit`` is killed at twenty random moments, resumed every time, and leaves the same bytes in the end."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes to kill are forked")

FIT = [
    *("fit", "digits", "--epochs", "4", "--network", "mlp:hidden=8", "--latent", "2", "--samples", "2"),
    *("--objective", "factor", "--averaging", "0.99", "--checkpoint-minutes", "1e-9"),
]

# Torch and all of vaekit are imported once; every fit is a fork that has computed nothing yet. The report and the
# baselines, which come after the training, would take most of the time.
KILLING = """
import json, os, random, re, signal, sys, time
import sklearn.datasets, torch, torch._dynamo
import vaekit.estimator, vaekit.evaluation.held_out, vaekit.report, vaekit.cli.progress
from vaekit.cli import main

vaekit.report.render_report = lambda *a: ""
vaekit.evaluation.held_out.fit_baselines = lambda *a, **k: []
fit = sys.argv[2:]

def start(*arguments):
    child = os.fork()
    if child:
        return child
    os.dup2(os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    os._exit(main([*fit, *arguments]))

def ended(child):
    done, status = os.waitpid(child, os.WNOHANG)
    if done and status:
        sys.exit("a fit failed: " + open("log.txt").read())
    return bool(done)

def newest(folder):
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return max((int(n) for n in re.findall(r"checkpoint-(\\d+)\\.safetensors", " ".join(names))), default=-1)

child = start("-o", "whole.vae")
while not ended(child):
    time.sleep(0.01)

# A moment is so many checkpoints further, one being written at every step, and a little time: whatever the machine
# does besides, kills hit the training. Every fifth is after a time alone, and hits what comes before it too.
moments, found = random.Random(int(sys.argv[1])), []
names = iter(range(1000))
name = f"{next(names)}.vae"
while len(found) < 20:
    folder = name + ".training"
    target = newest(folder) + moments.randint(1, 8)
    limit = time.perf_counter() + (moments.uniform(0.02, 1.0) if len(found) % 5 == 4 else 600)
    child = start("-o", name, "--resume")
    over = False
    while not over and newest(folder) < target and time.perf_counter() < limit:
        time.sleep(0.001)
        over = ended(child)
    time.sleep(moments.uniform(0.0, 0.02))
    if over or ended(child):
        name = f"{next(names)}.vae"
        continue
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found.append(sorted(os.listdir(folder)) if os.path.isdir(folder) else None)
child = start("-o", name, "--resume")
while not ended(child):
    time.sleep(0.01)
print(json.dumps({"left": found, "artifacts": [f"{n}.vae" for n in range(next(names))]}))
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder with one artifact of a fit left alone and others of fits that were killed."""
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, "-c", KILLING, "20", *FIT],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_the_kills_hit_the_training_and_the_writing_of_checkpoints(killed):
    _, found = killed
    assert len(found["left"]) == 20
    left = [names for names in found["left"] if names]
    assert len(left) >= 10
    assert len({tuple(names) for names in left}) >= 8, "different moments"


def test_every_artifact_holds_the_same_bytes(killed):
    folder, found = killed
    whole = folder / "whole.vae"
    for name in found["artifacts"]:
        for file in ("model.safetensors", "model.json"):
            assert (folder / name / file).read_bytes() == (whole / file).read_bytes(), (name, file)
        assert numbers(folder / name) == numbers(whole)


def test_nothing_is_left_beside_the_artifacts(killed):
    folder, found = killed
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*found["artifacts"], "log.txt", "whole.vae"]
    )


def numbers(artifact):
    lines = [json.loads(line) for line in (artifact / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "rows_per_second")} for line in lines]
