"""Conditional models from data to artifact: what they generate is what was asked for."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier

from vaekit import VariationalAutoencoder, load
from vaekit.cli import main
from vaekit.data import read
from vaekit.errors import DataError, UsageError


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    data = read("digits")
    vae = VariationalAutoencoder(
        10, condition="labels", network="mlp:hidden=128", epochs=20, random_state=0
    ).fit(data)
    path = tmp_path_factory.mktemp("digits") / "digits.vae"
    vae.save(path)
    return SimpleNamespace(data=data, vae=vae, path=path)


def test_samples_are_recognised_as_the_digit_that_was_asked_for(digits):
    judge = KNeighborsClassifier(5).fit(digits.data.values.reshape(len(digits.data), -1), digits.data.labels)
    asked = np.repeat(np.arange(10), 30)
    made = digits.vae.sample(300, given={"labels": asked}, random_state=0).reshape(300, -1)
    assert (judge.predict(made) == asked).mean() > 0.8  # chance is 0.1
    shuffled = np.random.default_rng(0).permutation(asked)
    assert (judge.predict(made) == shuffled).mean() < 0.3


def test_the_same_latent_under_two_conditions_differs(digits):
    z = np.zeros((1, 10))
    assert (
        abs(
            digits.vae.inverse_transform(z, given="labels=0")
            - digits.vae.inverse_transform(z, given="labels=1")
        ).max()
        > 0.3
    )


def test_a_row_s_score_depends_on_its_condition_and_not_on_its_company(digits):
    few = digits.data.take(range(60))
    scores = digits.vae.score_samples(few, samples=20)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(
        digits.vae.score_samples(few.take(order), samples=20), scores[order], rtol=1e-4
    )
    wrong = digits.vae.score_samples(few, conditions={"labels": (few.labels + 1) % 10}, samples=20)
    assert np.mean(wrong < scores) > 0.9


def test_save_and_load_give_the_same_bytes(digits):
    again = load(digits.path)
    assert again.schema_ == digits.vae.schema_
    few = digits.data.take(range(20))
    np.testing.assert_array_equal(again.transform(few), digits.vae.transform(few))
    for given in ("labels=3", "data"):
        np.testing.assert_array_equal(
            again.sample(5, given=given, random_state=1), digits.vae.sample(5, given=given, random_state=1)
        )
    assert json.loads((digits.path / "model.json").read_text())["format_version"] == 2


def test_nothing_given_or_something_unknown_is_refused(digits):
    with pytest.raises(UsageError, match=r"given='labels=0', or given='data'"):
        digits.vae.sample(2)
    with pytest.raises(UsageError, match=r"unknown category '12'.*'0', '1'"):
        digits.vae.sample(2, given={"labels": 12})
    with pytest.raises(DataError, match="no condition 'labels'"):
        digits.vae.transform(digits.data.values)
    plain = VariationalAutoencoder(2, epochs=1, random_state=0).fit(
        np.random.default_rng(0).normal(size=(30, 3))
    )
    with pytest.raises(UsageError, match="no conditions"):
        plain.sample(2, given="labels=1")


def frame(n=400):
    generator = np.random.default_rng(0)
    kind, age = generator.choice(["a", "b"], n), generator.uniform(20, 60, n)
    x = np.where(kind == "a", -5.0, 5.0) + 0.1 * age + generator.normal(size=n)
    return pd.DataFrame({"x": x, "kind": kind, "y": generator.normal(size=n), "age": age})


def test_columns_of_a_data_frame_text_and_numbers(tmp_path):
    data = frame()
    vae = VariationalAutoencoder(2, condition=["kind", "age"], prior="gaussian", epochs=60, random_state=0)
    vae.fit(data)
    assert vae.schema_.column_names == ("x", "y")
    assert vae.transform(data).shape == (400, 2)
    for kind, age, expected in (("a", 30, -2.0), ("b", 30, 8.0), ("b", 55, 10.5)):
        made = vae.sample(500, given={"kind": kind, "age": age}, random_state=0, noise=True)
        assert abs(made["x"].mean() - expected) < 1.0
        assert made.columns.equals(data.columns), "the conditions are columns, in their places"
        assert made.dtypes.equals(data.dtypes)
        assert (made["kind"] == kind).all()
        assert (made["age"] == age).all()
    changed = data.assign(kind="z")
    with pytest.raises(DataError, match=r"unknown category 'z'.*'a', 'b'"):
        vae.score_samples(changed)
    with pytest.raises(DataError, match="no condition 'age'"):
        vae.score_samples(data.drop(columns="age"))


def test_labels_as_y_and_a_prior_fitted_afterwards():
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 200)
    x = generator.normal(size=(200, 4)) + y[:, None]
    vae = VariationalAutoencoder(2, condition="labels", epochs=5, random_state=0).fit(x, y)
    vae.fit_prior("gmm:components=2", x, conditions=y)
    assert vae.sample(3, given="data", random_state=0).shape == (3, 4)
    assert np.isfinite(vae.score(x, y))
    vae.partial_fit(x, y)


def test_on_the_command_line(tmp_path, capsys):
    data, model, out = tmp_path / "people.csv", tmp_path / "people.vae", tmp_path / "out.csv"
    frame().to_csv(data, index=False)
    arguments = ["--epochs", "3", "--samples", "5", "--network", "mlp:hidden=8", "-o", str(model)]
    assert main(["fit", str(data), "--condition", "kind", "--condition", "age", *arguments]) == 0
    assert main(["info", str(model)]) == 0
    assert "kind (2 categories: 'a', 'b')" in capsys.readouterr().out
    assert main(["sample", str(model), "-n", "3", "-o", str(out)]) == 2
    assert "kind=a,age=" in capsys.readouterr().err
    assert main(["sample", str(model), "-n", "3", "--given", "kind=a,age=40", "-o", str(out)]) == 0
    made = pd.read_csv(out)
    assert made.columns.tolist() == ["kind", "age", "x", "y"]
    assert made[["kind", "age"]].drop_duplicates().values.tolist() == [["a", 40]]
    for verb in ("score", "encode", "reconstruct"):
        assert main([verb, str(model), str(data), "-o", str(out)]) == 0
    assert (
        main(["decode", str(model), str(out), "--given", "kind=a,age=40", "-o", str(out)]) == 3
    )  # no latents
    capsys.readouterr()
    assert main(["evaluate", str(model), str(data), "--samples", "5"]) == 0
    assert "given the conditions of the examples" in capsys.readouterr().out
    assert main(["report", str(model)]) == 0
    capsys.readouterr()
    frame().assign(kind="z").to_csv(data, index=False)
    assert main(["score", str(model), str(data), "-o", str(out)]) == 3
    assert "unknown category 'z'" in capsys.readouterr().err
    frame().drop(columns="age").to_csv(data, index=False)
    assert main(["encode", str(model), str(data), "-o", str(out)]) == 3
    assert "'age'" in capsys.readouterr().err
