"""Every command of the README runs as it is written, in order, in an empty folder; its code too."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import vaekit
from narrowing import known
from vaekit.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OF_THE_REPOSITORY = ("pip install", "make")  # run by whoever installs it
QUICK, SMALL = (
    ["--epochs", "1", "--samples", "2"],
    ["--network", "mlp:hidden=8"],
)  # of a fit: it does the same in less


def blocks(text: str) -> str:
    """The README without its Python and its prose: the indented blocks."""
    return re.sub(r"^```python.*?^```", "", text, flags=re.M | re.S)


def commands() -> list[str]:
    lines = re.findall(r"^ {4,}(\S.*)$", blocks(README), re.M)
    known = ("vaekit ", "python ", "echo ", *OF_THE_REPOSITORY)
    return [re.sub(r"\s{2,}#.*$", "", line) for line in lines if line.startswith(known)]


def test_commands_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for line in commands():
        words = shlex.split(line)
        if line.startswith(OF_THE_REPOSITORY):
            continue
        if words[0] != "vaekit":
            line = line.replace("python ", shlex.quote(sys.executable) + " ", 1)
            subprocess.run(line, shell=True, check=True, timeout=60)
            continue
        quick = (
            [*QUICK, *(() if "--network" in words else SMALL)]
            if words[1] == "fit"
            else ["--samples", "2"]
            if words[1] == "evaluate"
            else ["--output", "page.html"]  # without it the page is served until somebody ends it
            if words[1] == "explore"
            else []
        )
        assert main([*words[1:], *quick]) == 0, f"{line}\n{capsys.readouterr().err}"
        ran += 1
    assert ran >= 12
    assert {"latents.csv", "scores.csv", "new.csv", "new.png"} <= {path.name for path in tmp_path.iterdir()}


def test_what_a_newcomer_needs_comes_first() -> None:
    headings = re.findall(r"^## (.*)$", README, re.M)
    assert headings[:3] == ["Install", "When to use it, and when not", "Four jobs"]
    jobs = README.split("## Four jobs")[1].split("\n## ")[0]
    assert len(re.findall(r"^\d\. \*\*", jobs, re.M)) == 4
    assert len(README.split("## Four jobs")[0].splitlines()) < 35
    pip = next(line for line in commands() if line.startswith("pip"))
    assert (ROOT / shlex.split(pip)[3]).is_file()


def test_pieces_of_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pieces = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    assert len(pieces) == 2
    fit, divergence = pieces
    whole = "vaekit.VariationalAutoencoder(latent=5, random_state=0)"
    assert whole in fit
    namespace: dict = {"__name__": "readme"}
    exec(fit.replace("random_state=0)", "random_state=0, epochs=1)"), namespace)
    assert isinstance(namespace["again"], vaekit.VariationalAutoencoder)
    assert namespace["latents"].shape[1] == 5
    exec(divergence, namespace)
    said = float(known(re.search(r"kl_divergence\(p, q\)  # ([\d.e-]+);", divergence))[1])
    assert namespace["kl_divergence"](namespace["p"], namespace["q"]) == pytest.approx(said, rel=1e-12)
