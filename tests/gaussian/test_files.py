"""Gaussians from files."""

import json
import pickle

import numpy as np
import pytest

from vaekit.gaussian.files import GaussianFileError, read_gaussian

S = np.array([[2.0, 0.5], [0.5, 1.0]])
WAYS = {
    "covariance": {"covariance": S},
    "scale_tril": {"scale_tril": np.linalg.cholesky(S)},
    "precision": {"precision": np.linalg.inv(S)},
    "variance": {"variance": [2.0, 1.0]},
    "standard_deviation": {"standard_deviation": [2.0, 1.0]},
    "scale": {"scale": 2.0},
    "factor": {"factor": [[1.0], [0.5]], "diagonal": [1.0, 0.75]},
}


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("way", WAYS)
def test_every_parameterisation_comes_back(tmp_path, way, suffix):
    path = tmp_path / f"p{suffix}"
    content = {"mean": [1, 2], **WAYS[way]}
    if suffix == ".npz":
        np.savez(path, **content)
    else:
        path.write_text(json.dumps({k: np.asarray(v).tolist() for k, v in content.items()}))
    p = read_gaussian(path)
    assert p.parameterisation == way
    np.testing.assert_array_equal(p.mean, [1.0, 2.0])
    for name, value in WAYS[way].items():
        np.testing.assert_array_equal(p.parameters[name], value)


@pytest.mark.parametrize("header", ["", "a,b\n", "﻿weight,height\n"])
def test_samples_in_csv_and_npy_give_their_moments(tmp_path, header):
    X = np.random.default_rng(0).normal(size=(20, 2))
    path = tmp_path / "x.csv"
    path.write_text(
        header + "\n".join(",".join(map(repr, map(float, row))) for row in X) + "\n\n", encoding="utf-8"
    )
    np.save(tmp_path / "x.npy", X)
    for p in (read_gaussian(path), read_gaussian(tmp_path / "x.npy")):
        np.testing.assert_allclose(p.mean, X.mean(0), rtol=1e-13)
        np.testing.assert_allclose(p.covariance, np.cov(X.T), rtol=1e-12)


def test_one_dimension_is_forgiving(tmp_path):
    (tmp_path / "p.json").write_text('{"mean": 1, "covariance": 4}')
    p = read_gaussian(tmp_path / "p.json")
    assert p.mean.tolist() == [1.0]
    assert p.covariance.tolist() == [[4.0]]
    np.save(tmp_path / "x.npy", np.array([1.0, 2.0, 3.0]))
    assert read_gaussian(tmp_path / "x.npy").covariance.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "1", r"ends in '.txt'; expected .npz or .json"),
        ("p.json", "{", "cannot be read as .json"),
        ("p.json", "[1]", "holds a list; expected an object"),
        ("p.json", '{"mean": [0]}', "holds the keys mean; expected mean and exactly one of"),
        ("p.json", '{"variance": [1]}', "holds the keys variance; expected mean"),
        ("p.json", '{"mean": [0], "variance": [1], "scale": 1}', "exactly one of"),
        ("p.json", '{"mean": [0], "variance": [1], "sigma": 1}', "holds the keys mean, sigma, variance"),
        ("p.json", '{"mean": [0], "factor": [[1]]}', "or factor with diagonal"),
        ("p.json", '{"mean": ["a"], "variance": [1]}', "mean holds <U1 values; expected numbers"),
        ("p.json", '{"mean": [[0, 1], [0]], "variance": [1]}', "mean is not a rectangular array"),
        ("p.json", '{"mean": [0, 1], "covariance": [[1, 2], [2, 1]]}', "not positive definite"),
        ("p.json", '{"mean": [0, 1], "variance": [1, 2, 3]}', "variance has shape"),
        ("p.json", '{"mean": [[0, 1]], "variance": [1, 2]}', r"batch of Gaussians of shape \(1,\)"),
        ("x.csv", "a,b\n", "holds no rows of numbers"),
        ("x.csv", "", "holds no rows of numbers"),
        ("x.csv", "1,2\n3\n", "line 2: 1 cells where the first row has 2"),
        ("x.csv", "a,b\n1,2\n3,x\n", "line 3, column 2: 'x'; expected a number"),
        ("x.csv", "1,2\nnan,3\n4,5\n", "X holds nan"),
        ("x.csv", "1,2\n", "needs more than 1 samples"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(GaussianFileError, match=message) as caught:
        read_gaussian(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_missing_files_folders_and_pickles_are_refused(tmp_path):
    with pytest.raises(GaussianFileError, match="is not there"):
        read_gaussian(tmp_path / "none.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(GaussianFileError, match="is a folder"):
        read_gaussian(tmp_path / "folder.json")
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(GaussianFileError, match="allow_pickle"):
        read_gaussian(tmp_path / "p.npy")
    (tmp_path / "p.npz").write_bytes(pickle.dumps({"mean": [0.0]}))
    with pytest.raises(GaussianFileError, match=r"cannot be read as \.npz"):
        read_gaussian(tmp_path / "p.npz")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    with pytest.raises(GaussianFileError, match=r"shape \(2, 2, 2\); expected samples"):
        read_gaussian(tmp_path / "cube.npy")
