"""The example of a package with parts of its own, installed into a folder and used from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from warm_processes import vaekit_in_a_process

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "vaekit-gamma"

pytest.importorskip("hatchling", reason="the backend that builds the package is not installed")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package, as pip installs it: its entry points are found where the folder is on the path."""
    folder = tmp_path_factory.mktemp("site")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    subprocess.run([*pip, "--target", str(folder), str(PACKAGE)], check=True)
    return folder


@pytest.fixture(scope="module")
def rain(tmp_path_factory):
    """A folder with a table of positive, skewed columns, which depend on one hidden number."""
    folder = tmp_path_factory.mktemp("rain")
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(300, 1))
    amounts = generator.gamma([2.0, 3.0, 4.0], np.exp(hidden * [0.8, 0.6, 0.0]))
    np.savetxt(folder / "rain.csv", amounts, delimiter=",", header="a,b,c", comments="")
    return folder


@pytest.fixture(scope="module")
def fitted(installed, rain):
    """A model with both of the package's parts."""
    options = ["--latent", "1", "--network", "mlp:hidden=16", "--epochs", "40", "--samples", "20", "--json"]
    parts = ["--likelihood", "gamma", "--prior", "laplace"]
    done = vaekit_in_a_process(
        "fit", "rain.csv", *parts, *options, "-o", "rain.vae", folder=rain, packages=[installed]
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_command_line_fits_with_the_packages_parts_beside_its_baseline(fitted):
    assert fitted["likelihood"].startswith("gamma:shape=")
    baselines = {b["name"]: b for b in fitted["test"]["baselines"]}
    assert "independent gammas" in baselines
    assert (
        fitted["test"]["log_likelihood"]["mean"]
        > baselines["independent Gaussians"]["log_likelihood"]["mean"]
    )


def test_a_process_with_the_package_loads_the_model(fitted, installed, rain):
    done = vaekit_in_a_process(
        "score", "rain.vae", "rain.csv", "-o", "scores.csv", folder=rain, packages=[installed]
    )
    assert done.returncode == 0, done.stderr
    assert np.isfinite(np.loadtxt(rain / "scores.csv", delimiter=",", skiprows=1, usecols=0)).all()


def test_a_process_without_it_says_what_to_install(fitted, rain):
    done = vaekit_in_a_process("info", "rain.vae", folder=rain)
    assert done.returncode != 0
    assert "vaekit-gamma" in done.stderr
    assert "likelihood gamma" in done.stderr


def test_columns_may_be_of_the_packages_kind(installed, rain):
    options = [
        "--latent",
        "1",
        "--network",
        "mlp:hidden=8",
        "--epochs",
        "2",
        "--samples",
        "5",
        "-o",
        "columns.vae",
    ]
    done = vaekit_in_a_process(
        "fit", "rain.csv", "--column", "b=gamma", *options, folder=rain, packages=[installed]
    )
    assert done.returncode == 0, done.stderr
    assert "gamma" in done.stdout
    assert "vaekit-gamma" in vaekit_in_a_process("info", "columns.vae", folder=rain).stderr


def test_zeros_are_refused_with_what_was_expected(installed, rain):
    (rain / "zeros.csv").write_text("a,b\n" + "0,1\n2,3\n4,5\n" * 10)
    done = vaekit_in_a_process("fit", "zeros.csv", "--likelihood", "gamma", folder=rain, packages=[installed])
    assert done.returncode == 3
    assert "gamma accepts positive numbers, but the data run from 0 to 5" in done.stderr


def test_vaekit_models_lists_what_packages_offer(installed, rain):
    done = vaekit_in_a_process("models", folder=rain, packages=[installed])
    assert done.returncode == 0, done.stderr
    assert "likelihood=gamma" in done.stdout
    assert "vaekit-gamma" in done.stdout
    assert "vaekit-gamma" not in vaekit_in_a_process("models", folder=rain).stdout
