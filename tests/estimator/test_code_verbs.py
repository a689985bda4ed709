"""Codes as whole numbers: there and back is what `reconstruct` does, and what has no codes says so."""

import json

import numpy as np
import pytest

from vaekit import VariationalAutoencoder, load
from vaekit.cli import main
from vaekit.errors import DataError, UsageError
from vaekit.sentence.registry import PARTS, space_of

CODED = {  # positions and codes
    "quantized": ("quantized:codes=5,dimension=2", 2, 5),
    "residual-quantized": ("residual-quantized:codes=4,levels=3", 12, 4),
    "categorical": ("categorical:categories=3", 4, 3),
}


def fitted(posterior="quantized:codes=5,dimension=2", **options):
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    options = {"network": "mlp:hidden=8", "epochs": 2, "random_state": 0, "compile": "off"} | options
    return VariationalAutoencoder(4, posterior=posterior, **options).fit(x), x


def test_every_posterior_over_codes_is_here():
    assert set(CODED) == {kind for kind, part in PARTS["posterior"].items() if space_of(part) == "codes"}


@pytest.mark.parametrize(("posterior", "positions", "codes"), CODED.values(), ids=CODED)
def test_codes_there_and_back_are_the_reconstruction(posterior, positions, codes):
    vae, x = fitted(posterior)
    found = vae.transform_to_codes(x)
    assert (found.shape, found.dtype) == ((60, positions), np.int64)
    assert found.min() >= 0
    assert codes > found.max() > 0
    assert np.array_equal(vae.inverse_transform_codes(found), vae.reconstruct(x))
    assert np.array_equal(vae.inverse_transform_codes(found.astype(float)), vae.reconstruct(x))


@pytest.mark.parametrize("wrong", [[[0]], [[0, 5]], [[0, -1]], [[0, 0.5]], [[0, np.nan]], [0, 1]])
def test_what_is_no_code_is_refused(wrong):
    vae, _ = fitted()
    with pytest.raises(DataError, match=r"the codes hold|give one row per latent point"):
        vae.inverse_transform_codes(wrong)


def test_latents_that_are_no_codes_say_which_models_have_them():
    vae, x = fitted("diagonal")
    for call in (lambda: vae.transform_to_codes(x), lambda: vae.inverse_transform_codes([[0, 1]])):
        with pytest.raises(
            UsageError, match=r"diagonal are no codes, but numbers; .* quantized, residual-quantized"
        ):
            call()


def test_the_command_writes_whole_numbers_also_of_a_file_beyond_memory_and_reads_them_back(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    vae, x = fitted()
    vae.save("m.vae")
    big = np.tile(x, (100, 1))
    np.save("x.npy", big)
    assert main(["encode", "m.vae", "x.npy", "--codes", "-o", "codes.csv"]) == 0
    assert main(["encode", "m.vae", "x.npy", "--codes", "-o", "codes.npy", "--memory-limit", "50kB"]) == 0
    written = np.loadtxt("codes.csv", delimiter=",", skiprows=1, dtype=int)  # fails on a decimal point
    assert (tmp_path / "codes.csv").read_text().startswith("k0,k1\n")
    assert np.array_equal(written, np.load("codes.npy"))
    assert np.load("codes.npy").dtype == np.int64
    capsys.readouterr()
    assert main(["decode", "m.vae", "codes.csv", "--codes", "-o", "back.npy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [6000, 5]
    assert np.array_equal(np.load("back.npy"), load("m.vae").reconstruct(big))
    fitted("diagonal")[0].save("d.vae")
    assert main(["encode", "d.vae", "x.npy", "--codes", "-o", "codes.csv"]) == 2
    assert "are no codes" in capsys.readouterr().err
