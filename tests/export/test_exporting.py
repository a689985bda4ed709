"""Exported programs: they agree with the model without vaekit, and what cannot be exported is said."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from tests.cli.test_command_line import run
from torch import nn

from narrowing import known, untyped
from vaekit import VariationalAutoencoder
from vaekit.data import read
from vaekit.errors import ArtifactError, UsageError
from vaekit.export import export_model
from vaekit.export.given_noise import GivenNoise, noise_width
from vaekit.posteriors import DiagonalPosterior, FullPosterior, LowRankPosterior

onnx = pytest.importorskip("onnx", reason="the extra vaekit[export] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra vaekit[export] is not installed")

_EXACT = "donot_use_mm_for_euclid_dist"
SMALL: dict[str, Any] = {"latent": 2, "network": "mlp:hidden=8", "epochs": 2, "random_state": 0}


@pytest.fixture
def iris():
    return untyped(load_iris()).data


def test_a_table_with_holes_and_categories_in_onnx(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "size": 1e6 + rng.normal(0, 20, 120),
            "kind": rng.choice(["red", "green", "blue"], 120),
            "count": rng.negative_binomial(2, 0.1, 120),
            "always": 7.0,
        }
    )
    table.loc[::6, "size"] = np.nan
    table.loc[::7, "kind"] = None
    vae = VariationalAutoencoder(**SMALL, columns={"count": "negative-binomial"}).fit(table)
    found = export_model(vae, tmp_path / "out", draws=3)
    assert set(found.files) == {"encoder", "decoder", "reconstruct", "score"}
    assert not found.refused
    assert max(found.differences.values()) < 1e-5

    rows = vae.schema_.align(vae.checked_rows(table.head(50)), what="rows").values.astype(np.float64)
    encoder = onnxruntime.InferenceSession(found.folder / "encoder.onnx")
    mean, deviation = encoder.run(None, {"rows": rows})
    np.testing.assert_allclose(mean, vae.transform(table.head(50)), atol=1e-5)
    assert (deviation > 0).all()
    reconstruct = onnxruntime.InferenceSession(found.folder / "reconstruct.onnx")
    said = reconstruct.run(None, {"rows": rows})[0]
    expected = vae.reconstruct(table.head(50))
    np.testing.assert_allclose(said[:, 0], expected["size"], rtol=1e-6)
    names = known(vae.schema_.columns[1].categories)
    assert [names[int(code)] for code in said[:, 1]] == list(expected["kind"])
    assert (said[:, 3] == 7).all()

    score = onnxruntime.InferenceSession(found.folder / "score.onnx")
    noise = rng.normal(size=(3, 50, 2)).astype(np.float32)
    elbo, bound = score.run(None, {"rows": rows, "noise": noise})
    module, x = vae.to_module(), torch.from_numpy(rows)
    q = module.encode(x)
    z = q.mean + q.stddev * torch.from_numpy(noise)
    log_weight = (module.log_joint(x, z) - q.log_prob(z)).detach().numpy()
    np.testing.assert_allclose(elbo, log_weight.mean(0), rtol=1e-5, atol=1e-4)
    assert (bound >= elbo).all()

    props = {entry.key: entry.value for entry in onnx.load(found.folder / "score.onnx").metadata_props}
    told = json.loads(props["vaekit"])
    assert [column["name"] for column in told["columns"]] == ["size", "kind", "count", "always"]
    assert told["columns"][1]["categories"] == list(names)
    assert "NaN where a value is missing" in told["inputs"]["rows"]


def test_images_as_torch_programs_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images = (read("digits").values[:60] * 16).astype(np.uint8)
    vae = VariationalAutoencoder(**{**SMALL, "network": "convolutional:channels=4"}).fit(images)
    vae.save("digits.vae")
    status, out, err = run(capsys, "export", "digits.vae", "-o", "out", "--format", "torch", "--json")
    assert status == 0, err
    told = json.loads(out)
    assert told["folder"] == "out"
    assert max(told["differences"].values()) < 1e-6
    status, out, err = run(capsys, "export", "digits.vae", "-o", "out", "--format", "torch")
    assert status == 3
    assert "out exists; give another name, or --force" in err
    extra = {"vaekit.json": ""}
    program = torch.export.load("out/reconstruct.pt2", extra_files=extra).module()
    rows = torch.from_numpy(images[:7])
    torch.testing.assert_close(program(rows.float())[0], vae.to_module()(rows), atol=1e-4, rtol=0.0)
    assert json.loads(extra["vaekit.json"])["event_shape"] == [1, 8, 8]


def test_what_cannot_be_exported_is_said(iris, tmp_path):
    rows = iris
    sphere = SMALL | {"latent": 3, "posterior": "von-mises-fisher", "prior": "uniform-sphere"}
    vae = VariationalAutoencoder(**sphere).fit(rows)
    found = export_model(vae, tmp_path / "sphere", format="torch")
    assert set(found.files) == {"encoder", "decoder", "reconstruct"}
    assert "other random numbers than normal ones" in found.refused["score"]
    large: dict[str, Any] = SMALL | {"latent": 17, "posterior": "full"}
    full = VariationalAutoencoder(**large).fit(rows)
    found = export_model(full, tmp_path / "full")
    assert set(found.files) == {"encoder", "decoder", "reconstruct"}
    assert found.refused == {
        "score": "torch's exporter has no onnx for a matrix of 17 rows, of which at most 16 are written out"
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "sphere"], "nothing unfinished stays"
    with pytest.raises(UsageError, match="there are onnx and torch"):
        export_model(vae, tmp_path / "other", format=untyped("tflite"))
    with pytest.raises(UsageError, match="draws=0"):
        export_model(vae, tmp_path / "other", draws=0)


@pytest.mark.parametrize(("posterior", "latent"), [("full", 3), ("low-rank:rank=3", 4)])
def test_posteriors_with_factors_of_matrices_in_onnx(iris, tmp_path, posterior, latent):
    parts: dict[str, Any] = SMALL | {"latent": latent, "posterior": posterior, "likelihood": "gaussian"}
    vae = VariationalAutoencoder(**parts).fit(iris)
    found = export_model(vae, tmp_path / "out", draws=4)
    assert set(found.files) == {"encoder", "decoder", "reconstruct", "score"}
    assert max(found.differences.values()) < 1e-5
    session = onnxruntime.InferenceSession(found.folder / "score.onnx")
    draws, _, width = session.get_inputs()[1].shape
    noise = np.random.default_rng(0).standard_normal((draws, 20, width)).astype("float32")
    elbo, weighted = session.run(None, {"rows": iris[:20], "noise": noise})
    module = vae.to_module().eval()
    with torch.no_grad():
        x = module.to_model(torch.from_numpy(iris[:20]))
        q = module.model.encode(x)
        with GivenNoise(torch.from_numpy(noise)):
            z = q.rsample((draws,))
        terms = module.model.decode(z).log_prob(x) + module.model.prior().log_prob(z) - q.log_prob(z)
    np.testing.assert_allclose(elbo, terms.mean(0), atol=1e-4)
    np.testing.assert_allclose(weighted, terms.logsumexp(0) - np.log(draws), atol=1e-4)


def test_a_program_that_differs_is_left_out(iris, tmp_path, monkeypatch):
    from vaekit.export import torch_format

    write = torch_format.write_program

    def wrong(function, folder, told):
        path, run_it = write(function, folder, told)
        return path, lambda inputs: [output + 1e-3 for output in run_it(inputs)]

    monkeypatch.setattr(torch_format, "write_program", wrong)
    vae = VariationalAutoencoder(**SMALL).fit(iris)
    with pytest.raises(
        ArtifactError, match=r"encoder: the program differs from the model by 0\.001 .* 1e-05"
    ):
        export_model(vae, tmp_path / "out", format="torch")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", [DiagonalPosterior(3), FullPosterior(3), LowRankPosterior(3, rank=2)])
def test_given_noise_makes_the_posteriors_own_draws(part):
    q = part(0.3 * torch.randn(4, *part.feature_shape, generator=torch.Generator().manual_seed(0)))
    width = noise_width(lambda shape: q.rsample(torch.Size(shape)))
    noise = torch.randn(20_000, 4, width, generator=torch.Generator().manual_seed(1))
    with GivenNoise(noise):
        z = q.rsample(torch.Size((20_000,)))
    with GivenNoise(noise):
        assert torch.equal(z, q.rsample(torch.Size((20_000,))))
    error = q.stddev / 20_000**0.5
    assert ((z.mean(0) - q.mean).abs() < 5 * error).all()
    torch.testing.assert_close(z.var(0), q.variance, rtol=0.08, atol=0.0)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("lgamma", torch.lgamma),
        ("softplus", nn.functional.softplus),
        ("cdist", lambda x: torch.cdist(x, x.new_tensor([[0.0], [0.7], [3.0]]), compute_mode=_EXACT)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operations_that_onnx_lacks(name, function, dtype, tmp_path):
    from vaekit.export.onnx_format import write_onnx
    from vaekit.export.row_functions import RowFunction

    class Function(nn.Module):
        def forward(self, x):
            return (function(x),)

    x = torch.cat([torch.logspace(-6, 5, 60, dtype=dtype), torch.linspace(0.5, 3, 40, dtype=dtype)])[:, None]
    path, run_it = write_onnx(RowFunction(name, Function(), ("x",), ("y",), (x,), (0,)), tmp_path, {})
    tolerance = 3e-6 if dtype == torch.float32 else 1e-10
    np.testing.assert_allclose(run_it((x,))[0], function(x).numpy(), rtol=tolerance, atol=tolerance)
    assert path.name == f"{name}.onnx"
