"""The answers to the page's questions, against what the estimator, scikit-learn and plain NumPy say."""

import base64
import io
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_iris
from sklearn.neighbors import NearestNeighbors

from narrowing import untyped
from vaekit import ExplorationPage, VariationalAutoencoder
from vaekit.data import Dataset, from_object
from vaekit.errors import DataError, UsageError
from vaekit.explorer import Exploration

IRIS, DIGITS = untyped(load_iris()), untyped(load_digits())
NETWORK = "mlp:hidden=8"


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def fitted(x, latent=2, **options):
    return VariationalAutoencoder(latent, network=NETWORK, epochs=2, random_state=0, **options).fit(x)


def rows_of(estimator: VariationalAutoencoder, x, labels=None) -> Dataset:
    return replace(estimator.schema_.align(from_object(x), what="the test"), labels=labels)


@pytest.fixture(scope="module")
def digits() -> Exploration:
    images = DIGITS.images[:300, None].astype(np.uint8)
    estimator = fitted(images, latent=4, likelihood="gaussian")
    return Exploration(estimator, rows_of(estimator, images, DIGITS.target[:300]))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    iris = untyped(load_iris(as_frame=True))
    frame = iris.data.set_axis(["a", "b", "c", "d"], axis=1)
    frame["kind"] = np.array(["one", "two", "three"])[iris.target]
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(150) % 40, unit="D")
    frame.loc[3, "b"] = np.nan
    return frame


@pytest.fixture(scope="module")
def table(frame: pd.DataFrame) -> Exploration:
    estimator = fitted(frame, latent=3)
    return Exploration(estimator, rows_of(estimator, frame))


def test_a_place_is_decoded_as_the_estimator_does_it(digits):
    z = [0.3, -0.2, 1.0, 0.5]
    found = digits.decode(z, kind="dimensions", first=2, second=0)
    image = digits.estimator.inverse_transform([z])[0, 0]
    seen = pixels(found["image"])
    np.testing.assert_allclose(seen[..., 0], np.clip(image, 0, 255), atol=0.51)
    assert seen.shape == (8, 8, 4)
    assert found["z"] == z
    assert found["place"] == pytest.approx([1.0, 0.3])
    same = digits.decode_place((1.0, 0.3), [0.0, -0.2, 0.0, 0.5], kind="dimensions", first=2, second=0)
    assert same["image"] == found["image"]


def test_decoding_takes_less_than_30_milliseconds(digits, table):
    for asked, latent in ((digits, 4), (table, 3)):
        times = []
        for i in range(12):
            start = time.perf_counter()
            asked.decode_place((0.1 * i, 0.2), [0.0] * latent, kind="components")
            times.append(time.perf_counter() - start)
        assert min(times) < 0.030


def test_rows_are_shown_with_their_reconstruction_and_posterior(digits):
    row, x = digits.row(5), digits.shown.rows
    np.testing.assert_array_equal(pixels(row["original"]["image"])[..., 0], x.values[5, 0])
    rebuilt = digits.estimator.reconstruct(x.take([5]))[0, 0]
    np.testing.assert_allclose(
        pixels(row["reconstruction"]["image"])[..., 0], np.clip(rebuilt, 0, 255), atol=0.51
    )
    estimator = digits.estimator
    inputs = torch.from_numpy(estimator.schema_.transform(x.values))
    with torch.no_grad():
        q = estimator.model_.encode(inputs)
        log_p = estimator.model_.decode(q.mean).log_prob(inputs)
    each = 0.5 * (q.mean**2 + q.stddev**2 - 1) - q.stddev.log()
    np.testing.assert_allclose(row["z"], q.mean[5], atol=1e-4)
    np.testing.assert_allclose(row["spread"], q.stddev[5], atol=1e-4)
    assert row["label"] == "5"
    assert row["scores"]["KL"] == pytest.approx(float(each[5].sum()), rel=1e-4)
    assert row["scores"]["log p(x | z)"] == pytest.approx(float(log_p[5]), rel=1e-4)
    order = [told["dimension"] for told in digits.description()["dimensions"]]
    assert order == each.mean(0).argsort(descending=True).tolist()


def test_neighbours_are_those_of_scikit_learn(digits):
    latents = digits.shown.latents
    distances, rows = NearestNeighbors(n_neighbors=9).fit(latents).kneighbors(latents[12:13])
    found = digits.neighbours(12)
    assert found["rows"] == rows[0, 1:].tolist()
    np.testing.assert_allclose(found["distances"], distances[0, 1:], atol=1e-5)


def test_colours(digits, table, frame):
    label = digits.colours("label")
    assert label["names"] == [str(i) for i in range(10)]
    np.testing.assert_array_equal(unpacked(label["values"]), DIGITS.target[:300])
    scores = unpacked(digits.colours("log_likelihood")["values"])
    expected = digits.estimator.score_samples(digits.shown.rows, samples=100)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    kind = table.colours("column:4")
    assert [kind["names"][int(code)] for code in unpacked(kind["values"])] == frame["kind"].tolist()
    numbers = unpacked(table.colours("column:1")["values"])
    np.testing.assert_allclose(numbers, frame["b"], rtol=1e-6)  # a missing value stays one
    with pytest.raises(UsageError, match="coloured by 'column:77'"):
        table.colours("column:77")


def test_tables_are_shown_in_their_own_types_beside_the_usual_range(table, frame):
    row = table.row(3)["original"]
    assert row["texts"][1:6:4] == ["–", "2024-01-04"]
    assert row["texts"][4] == "one"
    low, high = np.quantile(frame["a"], [0.05, 0.95], method="nearest")
    assert row["places"][0] == pytest.approx((frame["a"][3] - low) / (high - low), abs=1e-3)
    assert row["places"][4] is None
    assert table.description()["usual"][0] == f"{low} to {high}"
    assert table.description()["usual"][4] == "3 categories"


def test_what_sets_chosen_rows_apart(table, frame):
    chosen = np.flatnonzero(frame["kind"] == "one").tolist()
    found = table.selection(chosen)
    assert found["count"] == 50
    by_name = {column["name"]: column for column in found["columns"]}
    assert found["columns"][0]["apart"] == 1.0  # petals alone tell the species
    assert by_name["kind"]["here"] == "one (100 %)"
    assert by_name["kind"]["there"] == "three (50 %)"
    inside = frame["kind"] == "one"
    assert by_name["a"]["here"] == f"{frame['a'][inside].mean():.4g}"
    assert by_name["b"]["there"] == f"{frame['b'][~inside].mean():.4g}"
    assert [row["texts"][0] for row in found["examples"][:3]] == [f"{v:g}" for v in frame["a"][:3]]
    for wrong in ([], [150], [-1]):
        with pytest.raises(UsageError, match="no row"):
            table.selection(wrong)


def test_chosen_rows_as_csv_are_those_of_the_data(table, frame):
    read: pd.DataFrame = pd.read_csv(io.StringIO(table.selection_csv([7, 3, 90])), parse_dates=["day"])
    assert read["row"].tolist() == [3, 7, 90]
    pd.testing.assert_frame_equal(
        pd.DataFrame(read[[*frame.columns]]), frame.loc[[3, 7, 90]].reset_index(drop=True), check_dtype=False
    )
    np.testing.assert_allclose(read[["z0", "z1", "z2"]], table.shown.latents[[3, 7, 90]])


def test_the_mean_of_chosen_images(digits):
    found = digits.selection([1, 2, 5])
    mean = digits.shown.rows.values[[1, 2, 5], 0].mean(0)
    np.testing.assert_allclose(pixels(found["mean"]["image"])[..., 0], mean, atol=0.51)
    assert pixels(found["difference"]["image"]).shape == (8, 8, 4)
    assert "difference" not in digits.selection(list(range(300)))


def test_without_data_draws_from_the_prior_are_shown(table):
    drawn = Exploration(table.estimator)
    about = drawn.description()
    assert about["drawn"]
    assert about["rows"] == 2000
    assert about["dimensions"][0]["spread"] is None
    assert drawn.row(1)["scores"] == {}
    assert drawn.row(1)["original"] == drawn.row(1)["reconstruction"]
    keys = [choice["key"] for choice in about["colours"]]
    assert "log_likelihood" not in keys
    assert "kl" not in keys
    assert unpacked(drawn.colours("column:4")["values"]).shape == (2000,)


def test_conditions_change_what_is_decoded():
    iris = IRIS
    data = from_object(iris.data)
    data = replace(data, conditions={"labels": iris.target})
    estimator = VariationalAutoencoder(2, network=NETWORK, epochs=20, condition="labels", random_state=0).fit(
        data
    )
    asked = Exploration(estimator, data)
    (told,) = asked.description()["conditions"]
    assert told["categories"] == ["0", "1", "2"]
    texts = [asked.decode([0.0, 0.0], given={"labels": label})["texts"] for label in "012"]
    assert texts[0] != texts[1] != texts[2]
    assert asked.row(100)["conditions"] == {"labels": "2"}
    assert len(asked.walk(0, 100)["examples"]) == 9
    with pytest.raises(UsageError, match="7"):
        asked.decode([0.0, 0.0], given={"labels": "7"})
    assert Exploration(estimator).description()["rows"] == 2000


def test_latents_on_a_sphere_and_in_hyperbolic_space():
    x = IRIS.data
    sphere = Exploration(fitted(x, 3, posterior="von-mises-fisher"), from_object(x))
    assert np.linalg.norm(sphere.decode([2.0, 0.0, 0.0])["z"]) == pytest.approx(1.0)
    assert np.linalg.norm(sphere.walk(0, 100)["latents"][4]) == pytest.approx(1.0, abs=1e-4)
    curved = Exploration(fitted(x, 2, posterior="wrapped-normal:curvature=0.7"), from_object(x))
    assert curved.space.curvature == 0.7
    assert "geodesic" in curved.walk(0, 100)["described"]


def test_codes_are_a_grid_to_edit():
    x = IRIS.data
    asked = Exploration(fitted(x, 3, posterior="quantized:codes=8"), from_object(x))
    codes = asked.description()["codes"]
    assert codes["positions"] == 3
    assert codes["codes"] == 8
    row = asked.row(4)
    assert asked.decode_codes(row["codes"])["texts"] == row["reconstruction"]["texts"]
    with pytest.raises(UsageError, match="nothing between"):
        asked.walk(0, 1)
    with pytest.raises(DataError, match="whole numbers from 0 to 7"):
        asked.decode_codes([0, 0, 8])


@pytest.mark.parametrize(
    "options",
    [{"posterior": "point", "objective": "mmd"}, {"posterior": "iaf"}, {"posterior": "full"}],
)
def test_every_posterior_has_a_spread(options):
    x = IRIS.data
    asked = Exploration(fitted(x, 2, **options), from_object(x))
    spread = np.array(asked.row(0)["spread"])
    assert (spread == 0).all() if options["posterior"] == "point" else (spread > 0).all()
    assert len(asked.description()["dimensions"]) == 2


def test_one_latent_dimension_and_five_hundred():
    x = IRIS.data
    one = Exploration(fitted(x, 1), from_object(x))
    assert one.description()["maps"] == ["dimensions"]
    assert one.map("dimensions")["names"] == ["z₀", ""]
    assert one.decode_place((0.7, 0.2), [0.0])["z"] == [0.7]
    many = Exploration(fitted(x, 500), from_object(x))
    assert len(many.description()["dimensions"]) == 500
    assert len(many.decode_place((1.0, 2.0), [0.0] * 500, kind="components")["z"]) == 500
    with pytest.raises(UsageError, match="a latent of 2 numbers; this model has 500"):
        many.decode([0.0, 0.0])
    with pytest.raises(UsageError, match="a latent of 3 numbers"):
        many.decode_place((0.0, 0.0), [0.0] * 3)


def test_more_rows_than_can_be_told_apart_are_sampled():
    x = IRIS.data
    asked = Exploration(fitted(x), from_object(x), most=40)
    about = asked.description()
    assert (about["rows"], about["total"]) == (40, 150)
    assert asked.row(39)["number"] == 149
    np.testing.assert_array_equal(unpacked(about["numbers"]), asked.shown.numbers)
    assert pd.read_csv(io.StringIO(asked.selection_csv([39])))["row"].tolist() == [149]


def test_a_model_that_diverged_is_told_of():
    x = IRIS.data
    estimator = fitted(x)
    with torch.no_grad():
        for parameter in estimator.model_.decoder.parameters():
            parameter.fill_(3e38)
    asked = Exploration(estimator, from_object(x))
    assert asked.decode([0.5, 0.5]) == {"broken": True, "z": [0.5, 0.5], "place": None}
    assert asked.row(0)["reconstruction"] == {"broken": True}
    with torch.no_grad():
        for parameter in estimator.model_.encoder.parameters():
            parameter.fill_(torch.nan)
    with pytest.raises(DataError, match="its training diverged"):
        Exploration(estimator, from_object(x))


def test_rows_and_labels_that_do_not_fit():
    x = IRIS.data
    estimator = fitted(x)
    with pytest.raises(DataError, match="no rows to show"):
        Exploration(estimator, from_object(x).take([]))
    with pytest.raises(DataError, match=r"labels of shape \(3,\) for 150 rows"):
        estimator.explore(x, [1, 2, 3])


def test_a_notebook_shows_the_page(digits):
    x = IRIS.data
    page = fitted(x).explore(x, IRIS.target)
    assert isinstance(page, ExplorationPage)
    assert '"name":"label"' in page.html
    assert "src=" not in page.html.replace("srcdoc", "").partition("<script>")[0]
    assert page._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')


def test_text_of_the_data_cannot_leave_its_place_in_the_page():
    names = ["</script><script>alert(1)</script>", "<!--<script>", "plain"]
    frame = pd.DataFrame(
        {"x": np.random.default_rng(0).normal(size=60), names[0]: np.array(names)[np.arange(60) % 3]}
    )
    estimator = fitted(frame)
    page = ExplorationPage.of(estimator, rows_of(estimator, frame), name=names[0]).html
    answers = page.partition('id="answers">')[2].partition("</script>")[0]
    assert "<" not in answers
    assert "alert(1)" in answers
    assert "<script>alert" not in page
